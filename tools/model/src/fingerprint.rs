//! Which states are the same: those from which the same can follow. Moments count from now, tokens and places by their
//! rank, connections by who comes first. So time and tokens can run on for ever, and the search still ends.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use corral_core::node::facts::{Fact, Facts};
use corral_core::time::{SteadyMs, UnixMs};
use corral_core::token::Token;

use crate::book::Circuit;
use crate::world::{Does, Holds, Slot, World};

/// What lies further back than this makes no difference any more: longer than any lease, window and step back of a clock
/// together.
const PAST_MS: u64 = 12;

/// What lies further ahead is far away: a place that is kept, a permit for a listener.
const FAR_MS: u64 = 24;

impl World {
    /// Equal for states that are the same.
    pub fn print(&self) -> u64 {
        let pauses = self.run.kinds.contains(&crate::act::Kind::Pause);
        let mut facts = Facts::default();
        self.node.facts(pauses, &mut facts);
        slots(&self.keys, &mut facts);
        if let Some(dumped) = &self.dumped {
            facts.number(dumped.key as u64);
            slots(core::slice::from_ref(&dumped.slot), &mut facts);
        }
        if let Some(replica) = &self.replica {
            replica.node.facts(false, &mut facts);
            slots(&replica.keys, &mut facts);
            facts.flag(replica.is_behind());
        }
        self.book_facts(&mut facts);
        self.hash(&facts)
    }

    fn hash(&self, facts: &Facts) -> u64 {
        let mut tokens: Vec<u64> = Vec::new();
        let mut orders: Vec<u64> = Vec::new();
        for fact in &facts.0 {
            match fact {
                Fact::Token(token) if *token > 0 => tokens.push(*token),
                Fact::Order(order) if *order > 0 => orders.push(*order),
                _ => {}
            }
        }
        for list in [&mut tokens, &mut orders] {
            list.sort_unstable();
            list.dedup();
        }
        let rank = |list: &[u64], number: u64| list.binary_search(&number).map_or(0, |at| at as u64 + 1);
        let from_now = |ms: u64, now_ms: u64| (ms + PAST_MS).saturating_sub(now_ms).min(PAST_MS + FAR_MS);
        let mut clients: BTreeMap<u64, u64> = BTreeMap::new();
        let mut hasher = std::hash::DefaultHasher::new();
        for fact in &facts.0 {
            let number = match *fact {
                Fact::Number(number) => number,
                Fact::Wall(at) => at.get().map_or(u64::MAX, |at| from_now(at, self.wall_ms)),
                Fact::Steady(SteadyMs::NEVER) => u64::MAX,
                Fact::Steady(at) => from_now(at.0, self.steady_ms),
                // Where two servers give out tokens, their distance matters.
                Fact::Token(token) if self.run.failover.is_some() && token > 0 => {
                    1 + (token + PAST_MS * 1000).saturating_sub(self.wall_ms * 1000)
                }
                Fact::Token(token) => rank(&tokens, token),
                Fact::Order(order) => rank(&orders, order),
                Fact::Client(0) => 0,
                Fact::Client(client) => {
                    let next = clients.len() as u64 + 1;
                    *clients.entry(client).or_insert(next)
                }
            };
            number.hash(&mut hasher);
        }
        hasher.finish()
    }

    /// What is known from outside. Acts are numbered like asks, so their ranks are taken here.
    fn book_facts(&self, facts: &mut Facts) {
        let book = &self.book;
        let mut acts: Vec<u64> = Vec::new();
        acts.extend(book.builds.iter().flat_map(|build| [build.began, build.voided]));
        let keys = book.keys.iter().chain(self.dumped.iter().map(|dumped| &dumped.known));
        acts.extend(book.listening.values().flat_map(|parked| [parked.asked, parked.place]));
        acts.extend(book.values.values().map(|built| built.began));
        acts.extend(self.parked().flat_map(|(_, parked)| [parked.asked, parked.place]));
        acts.extend(book.places.values().map(|(_, place, _)| *place));
        acts.extend(book.marks.iter().chain(&book.marked));
        acts.extend(keys.clone().flat_map(|known| [known.invalidated, known.floor_at]));
        acts.push(0);
        acts.sort_unstable();
        acts.dedup();
        let act = |at: u64| acts.binary_search(&at).unwrap_or(0) as u64;
        let ms = |at: u64| if at == u64::MAX { UnixMs::NEVER } else { UnixMs::new(at) };
        let token = |token: Option<Token>| token.map_or(0, Token::get);

        facts.list(&book.builds, |facts, build| {
            facts.token(build.token.get());
            facts.client(build.client);
            facts.numbers(&[build.key as u64, build.group as u64, act(build.began), build.length_ms]);
            facts.numbers(&[act(build.voided), build.source, build.known, build.once_ms.map_or(0, |ms| ms + 1)]);
            facts.wall(UnixMs::new(build.deadline_ms));
            facts.flags(&[build.is_tied, build.is_current, build.is_over, build.is_late, build.has_arrived]);
        });
        // In the order of their connections' first appearance: those who do nothing come nowhere else.
        let loses = self.run.kinds.contains(&crate::act::Kind::Lose);
        let mut clients: Vec<(u64, bool, &Does)> = Vec::new();
        clients.extend(self.clients.iter().map(|of| (of.id, of.is_forbidden || loses && of.is_handed, &of.does)));
        clients.sort_by_key(|(_, _, does)| match does {
            Does::Nothing => (0, 0),
            Does::Waits(_, parked) => (1, parked.asked),
            Does::Builds(token) => (2, token.get()),
        });
        for (id, is_marked, does) in clients {
            facts.flag(is_marked);
            match does {
                Does::Nothing => facts.number(0),
                Does::Waits(_, parked) => {
                    facts.numbers(&[1, parked.key as u64, parked.way as u64, act(parked.asked), act(parked.place)]);
                    facts.numbers(&[u64::from(parked.fills), parked.known]);
                    facts.flag(parked.left_ms == self.steady_ms);
                    facts.steady(parked.gives_up_ms.map_or(SteadyMs::NEVER, SteadyMs));
                    facts.token(token(parked.joined));
                    facts.client(id);
                }
                Does::Builds(token) => {
                    facts.number(2);
                    facts.token(token.get());
                    facts.client(id);
                }
            }
        }
        facts.list(&book.listening, |facts, (key, parked)| {
            facts.numbers(&[*key as u64, parked.way as u64, act(parked.asked)]);
            facts.flag(parked.left_ms == self.steady_ms);
            facts.token(token(parked.joined));
        });
        facts.list(&book.kept, |facts, (key, group, until_ms)| {
            facts.numbers(&[*key as u64, *group as u64]);
            facts.steady(SteadyMs(*until_ms));
        });
        for known in keys {
            facts.numbers(&[act(known.invalidated), known.source, known.floor, act(known.floor_at)]);
            facts.wall(UnixMs::new(known.floor_until_ms));
            facts.wall(ms(known.unknown_until_ms));
            let built = known.value.and_then(|value| book.values.get(&value));
            facts.flag(built.is_some());
            if let Some(built) = built {
                facts.number(act(built.began));
                facts.hash(built.tags);
                facts.number(built.version.map_or(0, |version| version + 1));
            }
        }
        facts.numbers(&book.marked.map(act));
        facts.list(&book.marks, |facts, at| facts.number(act(*at)));
        for group in &book.groups {
            facts.numbers(&[group.max, group.fails]);
            match group.circuit {
                Circuit::Closed { failures } => facts.numbers(&[0, failures]),
                Circuit::Open { until_ms, cool_ms, last } => {
                    facts.numbers(&[1, cool_ms]);
                    facts.wall(UnixMs::new(until_ms));
                    facts.token(token(last));
                }
                Circuit::Trying { trial, last, cool_ms } => {
                    facts.numbers(&[2, cool_ms]);
                    facts.token(token(trial));
                    facts.token(token(last));
                }
            }
        }
        facts.list(&book.places, |facts, (client, (key, place, until_ms))| {
            facts.client(*client);
            facts.numbers(&[*key as u64, act(*place)]);
            facts.steady(SteadyMs(*until_ms));
        });
        facts.flags(&[self.is_paused, self.is_late, self.has_failed_over]);
        facts.numbers(&[self.groups as u64, self.writes as u64]);
        facts.hash(&self.broken);
    }
}

fn slots(keys: &[Slot], facts: &mut Facts) {
    for slot in keys {
        facts.wall(slot.expires);
        match &slot.held {
            Holds::Nothing => facts.number(0),
            Holds::Entry(entry) => {
                facts.number(1);
                entry.facts(facts);
            }
            Holds::Text => facts.number(2),
            Holds::Foreign => facts.number(3),
        }
    }
}
