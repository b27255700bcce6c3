//! For the model checker: what of an entry can make a difference later.

use super::Entry;
use crate::node::facts::Facts;
use crate::node::Node;
use crate::tag::Intern;

impl Entry {
    /// Beside a copied node: points to that one's tags, whose marks are its own.
    pub fn use_tags_of(&mut self, node: &mut Node) {
        let Some(tagged) = self.cold.as_mut().and_then(|cold| cold.tagged.as_mut()) else { return };
        for tag in &mut tagged.tags {
            *tag = Intern::intern(node.tags(), tag.name());
        }
    }

    /// What can make a difference later. The value is whoever's who shows it.
    pub fn facts(&self, facts: &mut Facts) {
        facts.flag(self.value.is_some());
        facts.wall(self.fresh_until);
        // Only whether there was a build says something where every draw is an extreme one.
        facts.numbers(&[self.windows().swr_ms, self.windows().sie_ms, u64::from(self.build_ms.min(1))]);
        facts.flag(self.lease.is_some());
        if let Some(lease) = &self.lease {
            facts.token(lease.token.get());
            facts.wall(lease.granted_at);
            facts.wall(lease.deadline);
            facts.number(u64::from(lease.length_ms));
            facts.flags(&[lease.is_tied, lease.has_arrived]);
            facts.hash(&lease.terms);
        }
        facts.flag(self.tagged().is_some());
        if let Some(tagged) = self.tagged() {
            facts.token(tagged.birth.get());
            facts.list(&*tagged.tags, |facts, tag| facts.hash(tag.name()));
        }
        let Some(rare) = self.rare() else { return };
        facts.flag(rare.failure.is_some());
        if let Some(failure) = &rare.failure {
            facts.hash(&failure.message);
            facts.wall(failure.until);
        }
        // A back-off is at its longest by then.
        facts.numbers(&[u64::from(rare.failures_in_a_row.min(3)), u64::from(rare.broken_ties)]);
        facts.flag(rare.has_failed);
        facts.wall(rare.pass_until);
        facts.wall(rare.unknown_until);
        facts.number(rare.version.map_or(0, |version| version + 1));
        if let Some(floor) = &rare.floor {
            facts.number(floor.version);
            facts.token(floor.raised_by.get());
            facts.wall(floor.until);
        }
    }
}
