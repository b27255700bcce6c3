//! Which states are the same: those from which the same can follow. Moments count from now, tokens by their rank, clients
//! by what they do and not by their number, keys in either order. So time and tokens can run on for ever, and the
//! search still ends.

use std::hash::{Hash, Hasher};

use corral_lease::ask::Ask;
use corral_lease::entry::{Entry, Lease};
use corral_lease::key::Other;
use corral_lease::time::UnixMs;
use corral_lease::token::Token;

use crate::search::State;
use crate::world::{Client, Slot, World};

/// What lies further back than this makes no difference any more: longer than any lease, window and step back of a clock
/// together.
const PAST_MS: u64 = 12;

/// A token that nobody knows any more but its holder.
const VOID: u64 = 99;

/// Numbers that are equal for states that are the same.
type Print = Vec<u64>;

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.print().hash(hasher);
        self.world.broken.hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.print() == other.print() && self.world.broken == other.world.broken
    }
}

impl State {
    fn print(&self) -> Print {
        let view = View::new(&self.world, self.exact_tokens);
        let mut slots: Vec<Print> = (0..self.world.slots.len()).map(|key| view.slot(key)).collect();
        slots.sort_unstable();
        let mut print: Print = slots.into_iter().flatten().collect();
        print.push(u64::from(self.world.failed_over));
        if self.exact_tokens {
            print.push(view.exact(self.world.largest));
        }
        if let Some(replica) = &self.world.replica {
            print.push(view.exact(replica.largest));
            for (entry, current) in &replica.entries {
                view.entry(entry, &mut print);
                print.push(view.builder(*current));
            }
        }
        print
    }
}

struct View<'a> {
    world: &'a World,
    exact_tokens: bool,
    /// Those that still mean something to the server, in order. All others are void for good, and one is like the other.
    tokens: Vec<Token>,
}

impl<'a> View<'a> {
    fn new(world: &'a World, exact_tokens: bool) -> Self {
        let of_slots = world.slots.iter().flat_map(|slot| {
            let joined = slot.book.parked.values().map(|parked| parked.joined);
            joined.chain(slot.entry.lease().map(|lease| lease.token))
        });
        let of_replica = world.replica.iter().flat_map(|replica| &replica.entries);
        let of_replica = of_replica.filter_map(|(entry, _)| entry.lease().map(|lease| lease.token));
        let mut tokens: Vec<Token> = of_slots.chain(of_replica).collect();
        tokens.sort_unstable();
        tokens.dedup();
        Self { world, exact_tokens, tokens }
    }

    /// One key and everything about it.
    fn slot(&self, key: usize) -> Print {
        let mut print = Print::new();
        let Some(slot) = self.world.slots.get(key) else { return print };
        self.entry(&slot.entry, &mut print);
        match &slot.other {
            None => print.push(0),
            Some(Other::String { fresh_until, .. }) => print.extend([1, self.moment(*fresh_until)]),
            Some(Other::Foreign) => print.push(2),
        }
        print.push(self.builder(slot.book.current));
        self.waiters(slot, &mut print);
        let mut holders: Vec<[u64; 4]> = (self.world.clients.iter())
            .filter_map(|client| match client {
                Client::Holding(holding) if holding.key == key => Some([
                    9,
                    self.token(holding.token),
                    u64::from(holding.tied),
                    u64::from(slot.book.current == Some(holding.rebuild)),
                ]),
                _ => None,
            })
            .collect();
        holders.sort_unstable();
        print.extend(holders.into_iter().flatten());
        let mut gone: Vec<u64> =
            self.world.gone.iter().filter(|(of, _)| *of == key).map(|(_, token)| self.token(*token)).collect();
        gone.sort_unstable();
        print.push(gone.len() as u64);
        print.extend(gone);
        print
    }

    /// The room agrees with the book in every state that is gone on from, so the book tells it apart.
    fn waiters(&self, slot: &Slot, print: &mut Print) {
        print.push(slot.book.parked.len() as u64);
        for parked in slot.book.parked.values() {
            let Ask { lease_ms, early_beta, no_stale, force, tied } = parked.ask;
            let flags = [no_stale, force, tied, early_beta > 0.0].map(u64::from);
            print.extend([lease_ms, self.moment(parked.gives_up), self.token(parked.joined)]);
            print.extend(flags);
            print.push(self.moment(slot.book.deadline(parked)));
        }
    }

    fn entry(&self, entry: &Entry, print: &mut Print) {
        match entry.value() {
            None => print.push(0),
            Some(_) => {
                let windows = entry.windows();
                print.extend([1, self.moment(entry.fresh_until()), windows.swr_ms, windows.sie_ms]);
                // Early refresh multiplies it by so much that only this matters.
                print.push(u64::from(entry.build_ms().min(1)));
            }
        }
        match entry.lease() {
            None => print.push(0),
            Some(Lease { token, granted_at, deadline, length_ms, tied, .. }) => {
                print.extend([1, self.token(*token), self.moment(*granted_at), self.moment(*deadline), *length_ms]);
                print.push(u64::from(*tied));
            }
        }
        print.push(entry.failure().map_or(0, |failure| 1 + self.moment(failure.until)));
        print.push(entry.passing(UnixMs::EPOCH).map_or(0, |until| 1 + self.moment(until)));
    }

    /// Who holds the lease: one of the clients, somebody who crashed, nobody. A client is told apart by its token.
    fn builder(&self, rebuild: Option<u32>) -> u64 {
        let Some(rebuild) = rebuild else { return 0 };
        let held = self.world.clients.iter().find_map(|client| match client {
            Client::Holding(holding) if holding.rebuild == rebuild => Some(holding.token),
            _ => None,
        });
        held.map_or(1, |token| 2 + self.token(token))
    }

    fn moment(&self, moment: UnixMs) -> u64 {
        let Some(now) = self.world.now.get() else { return 0 };
        match moment.get() {
            None => u64::MAX,
            Some(moment) => (moment + PAST_MS).saturating_sub(now),
        }
    }

    fn token(&self, token: Token) -> u64 {
        match self.tokens.iter().position(|other| *other == token) {
            // Not seen by this server, which could give it out again.
            _ if self.exact_tokens && token.get() > self.world.largest => 100 + self.exact(token.get()),
            Some(rank) => rank as u64,
            None => VOID,
        }
    }

    /// How far from what the clock would give: two servers' tokens can meet.
    fn exact(&self, token: u64) -> u64 {
        (token + PAST_MS * 1000).saturating_sub(self.world.now.get().unwrap_or(0) * 1000)
    }
}
