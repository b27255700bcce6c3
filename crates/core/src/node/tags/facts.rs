//! For the model checker: a copy that shares no mark, and what can make a difference later.

use super::mark::Mark;
use super::since::Since;
use super::Tags;
use crate::node::facts::Facts;
use crate::tag::ByName;
use crate::token::Token;
use alloc::collections::{BTreeMap, BTreeSet};

impl Clone for Tags {
    /// Shares no mark: entries that have tags of the one are not marked by the other.
    fn clone(&self) -> Self {
        let names: BTreeSet<ByName> = self.names.iter().map(|tag| ByName(tag.0.duplicate())).collect();
        let of = |tag: &ByName| names.get(tag).cloned().unwrap_or_else(|| tag.clone());
        let marks_of =
            |marks: &BTreeMap<ByName, Mark>| marks.iter().map(|(tag, mark)| (of(tag), mark.clone())).collect();
        let tokens_of =
            |tokens: &BTreeSet<(Token, ByName)>| tokens.iter().map(|(token, tag)| (*token, of(tag))).collect();
        Self {
            are_used: self.are_used,
            sweep_from: self.sweep_from.as_ref().map(|tag| of(&ByName(tag.clone())).0),
            marks: marks_of(&self.marks),
            by_token: tokens_of(&self.by_token),
            floor: self.floor.duplicate(),
            floor_at: self.floor_at,
            forgot_at: self.forgot_at,
            floor_since: self.floor_since.clone(),
            floor_cap: self.floor_cap,
            floor_is_news: self.floor_is_news,
            has_caps: self.has_caps,
            last: self.last,
            fills_floor: self.fills_floor,
            forgotten: self.forgotten.iter().map(|(marks, tokens)| (marks_of(marks), tokens_of(tokens))).collect(),
            names,
        }
    }
}

impl Tags {
    pub fn facts(&self, facts: &mut Facts) {
        facts.list(&self.marks, |facts, (tag, mark)| {
            facts.hash(tag.0.name());
            facts.token(mark.token.get());
            facts.token(tag.0.mark().map_or(0, Token::get));
            facts.wall(mark.at);
            stale_since(&mark.since, facts);
            facts.list(&mark.caps, |facts, (token, until)| {
                facts.token(token.get());
                facts.wall(*until);
            });
        });
        for token in [self.floor.get(), self.last, self.fills_floor] {
            facts.token(token);
        }
        facts.wall(self.floor_at);
        facts.wall(self.forgot_at);
        stale_since(&self.floor_since, facts);
        facts.list(self.floor_cap, |facts, (token, until)| {
            facts.token(token.get());
            facts.wall(until);
        });
        facts.flags(&[self.floor_is_news, self.has_caps]);
        facts.number(self.forgotten.len() as u64);
    }
}

fn stale_since(since: &Since, facts: &mut Facts) {
    facts.list(since.iter(), |facts, (token, at)| {
        facts.token(token.get());
        facts.wall(*at);
    });
}
