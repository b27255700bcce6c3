//! The server, its clients and its replica, at one moment; and what an act leads to.
//!
//! What the server's shell does around the core is done here in the same way: who need not be granted anything is
//! answered without a step, a key lives no longer than it is of use, a parked client joins the lease that it was told to
//! wait behind.

use std::collections::BTreeSet;
use std::sync::Arc;

use corral_lease::decision::Decision;
use corral_lease::entry::Entry;
use corral_lease::key::{Asked, Change, Effect, Key, LeaseEnd, Other, Sources, Step};
use corral_lease::rebuild::{Filled, Memory};
use corral_lease::room::{Room, Waiter, WaiterId};
use corral_lease::time::UnixMs;
use corral_lease::token::{Mint, Token};

use crate::act::Act;
use crate::book::{Book, Broken, Parked, Rule};
use crate::observation::{Counts, Expected, Observation};
use crate::run::{Failover, Run, Way, BACKOFF_MS, LEASE_MAX_MS, PASS_MS, RENEW_MS};
use crate::search::{Seen, Situation};

#[derive(Clone, Debug)]
pub struct World {
    pub now: UnixMs,
    pub mint: Mint,
    /// The largest token that this server has given out or seen.
    pub largest: u64,
    pub slots: Vec<Slot>,
    pub clients: Vec<Client>,
    /// TIED leases whose connection has closed, and the scheduler does not know yet.
    pub gone: Vec<(usize, Token)>,
    pub replica: Option<Replica>,
    pub failed_over: bool,
    /// By the last step.
    pub broken: Broken,
    next_waiter: u64,
    next_rebuild: u32,
}

/// One key.
#[derive(Clone, Debug)]
pub struct Slot {
    pub entry: Entry,
    pub other: Option<Other>,
    pub room: Room,
    pub book: Book,
}

#[derive(Clone, Debug)]
pub enum Client {
    Idle,
    Parked {
        key: usize,
        id: WaiterId,
    },
    /// Builds, whether its lease is still good or not.
    Holding(Holding),
}

#[derive(Clone, Copy, Debug)]
pub struct Holding {
    pub key: usize,
    pub token: Token,
    /// Which grant this is, however its token may lie.
    pub rebuild: u32,
    pub tied: bool,
}

/// What a replica has seen.
#[derive(Clone, Debug)]
pub struct Replica {
    pub entries: Vec<(Entry, Option<u32>)>,
    pub largest: u64,
}

/// Far enough from zero for a clock to step back.
const START: u64 = 1000;

impl World {
    pub fn new(run: &Run) -> Self {
        let slot = Slot { entry: Entry::vacant(), other: None, room: Room::default(), book: Book::default() };
        Self {
            now: UnixMs::new(START),
            mint: Mint::default(),
            largest: 0,
            slots: vec![slot; run.keys],
            clients: vec![Client::Idle; run.clients],
            gone: Vec::new(),
            replica: run.failover.map(|_| Replica { entries: vec![(Entry::vacant(), None); run.keys], largest: 0 }),
            failed_over: false,
            broken: Broken::default(),
            next_waiter: 0,
            next_rebuild: 0,
        }
    }

    pub fn put(&mut self, act: Act, run: &Run, seen: &Seen) {
        self.broken = Broken::default();
        self.expire();
        match act {
            Act::Ask { client, key, way } => {
                if let Some(way) = run.ways.get(way) {
                    self.ask(client, key, way, seen);
                }
            }
            Act::Fill { client, times } => {
                if let (Some(holding), Some(times)) = (self.holding(client), run.times.get(times)) {
                    let times = times.resolve(self.now, || 0.5);
                    self.fill(client, holding, times, Memory::Free, run, seen);
                }
            }
            Act::FillWithoutMemory { client } => {
                if let (Some(holding), Some(times)) = (self.holding(client), run.times.first()) {
                    let times = times.resolve(self.now, || 0.5);
                    self.fill(client, holding, times, Memory::Full, run, seen);
                }
            }
            Act::Touch { .. } | Act::Fail { .. } | Act::Pass { .. } | Act::Renew { .. } | Act::Release { .. } => {
                self.say(act, run, seen);
            }
            Act::Crash { client } => self.crash(client, seen),
            Act::Set { key } => {
                let value = value();
                let times = run.times.first().map(|times| times.resolve(self.now, || 0.5));
                let Some(times) = times else { return };
                self.slot(key).other = None;
                let everybody = self.slot(key).book.everybody();
                let expected = Expected {
                    required: everybody.clone(),
                    allowed: everybody,
                    value: Some(value.clone()),
                    stored: Some(value.clone()),
                    ..Expected::default()
                };
                self.step(key, expected, seen, |key, _| key.set(value, times));
                let lease = self.slot(key).entry.lease().is_some();
                self.broken.note(Rule::AnOvertakenRebuildIsNeverStored, lease);
            }
            Act::Invalidate { key } => {
                let waiting = !self.slot(key).book.parked.is_empty();
                let had_lease = self.slot(key).book.out.is_some();
                self.step(key, Expected::default(), seen, |key, _| key.invalidate());
                seen.note(Situation::WaitersOutliveAnInvalidation, waiting && had_lease);
                let slot = self.slot(key);
                let lease = slot.entry.lease().is_some();
                self.broken.note(Rule::AnOvertakenRebuildIsNeverStored, lease);
            }
            Act::Delete { key } => self.replace(key, Entry::vacant(), None),
            Act::Overwrite { key } => {
                if let Some(times) = run.times.first() {
                    let entry = Entry::of_value(value(), times.resolve(self.now, || 0.5));
                    self.replace(key, entry, None);
                }
            }
            Act::Text { key } => {
                let text = Other::String { value: value(), fresh_until: self.now.plus(2) };
                self.replace(key, Entry::vacant(), Some(text));
            }
            Act::Foreign { key } => self.replace(key, Entry::vacant(), Some(Other::Foreign)),
            Act::Advance { key } => {
                let now = self.now;
                let book = &self.slot(key).book;
                let (given_up, due) = (book.given_up(now), book.due(now));
                seen.note(Situation::AWaiterGivesUp, !given_up.is_empty());
                let expected = Expected {
                    allowed: given_up.union(&due).copied().collect(),
                    askers: due.difference(&given_up).copied().collect(),
                    required: given_up,
                    ..Expected::default()
                };
                self.step(key, expected, seen, |key, from| key.advance(from));
                let due = self.slot(key).room.is_due(now);
                self.broken.note(Rule::NobodyWaitsWithoutANextMoment, due);
            }
            Act::HolderGone { key, token } => {
                self.gone.retain(|gone| *gone != (key, token));
                let expected = self.end_of(key, token);
                seen.note(Situation::ATiedHolderDies, !expected.askers.is_empty());
                self.step(key, expected, seen, |key, from| key.end(token, LeaseEnd::HolderGone, from));
            }
            Act::Tick => self.now = self.now.plus(1),
            Act::Replicate => self.replicate(),
            Act::Failover { behind_ms } => self.fail_over(run.failover, behind_ms, seen),
        }
        self.expire();
        let Self { slots, now, broken, .. } = self;
        for slot in slots {
            slot.book.check(&slot.room, *now, broken);
            if slot.other.is_none() {
                broken.note(Rule::AtMostOneLiveLeasePerKey, slot.entry.lease() != slot.book.out.as_ref());
            }
        }
    }

    /// Clients fall silent, and the scheduler goes on: everybody must be answered, and once.
    pub fn drains(&self) -> bool {
        self.slots.iter().all(|slot| {
            let (mut slot, mut mint, mut now) = (slot.clone(), self.mint.clone(), self.now);
            let mut open = slot.book.everybody();
            for _ in 0..=2 * slot.book.parked.len() + 2 {
                let Some(moment) = slot.room.next_moment() else { break };
                now = now.max(moment);
                slot.expire(now);
                let step = slot.key(now, &mut mint, |key, from| key.advance(from));
                for effect in &step.effects {
                    let (Effect::Wake { waiters, .. } | Effect::Refuse { waiters }) = effect else { continue };
                    if !waiters.iter().all(|id| open.remove(id)) {
                        return false;
                    }
                }
            }
            open.is_empty()
        })
    }

    pub fn holding(&self, client: usize) -> Option<Holding> {
        match self.clients.get(client) {
            Some(Client::Holding(holding)) => Some(*holding),
            _ => None,
        }
    }

    #[allow(clippy::indexing_slicing, reason = "a run's acts name only its own keys, and a bug in that is to be seen")]
    fn slot(&mut self, key: usize) -> &mut Slot {
        &mut self.slots[key]
    }

    fn become_(&mut self, client: usize, what: Client) {
        if let Some(client) = self.clients.get_mut(client) {
            *client = what;
        }
    }

    /// What the keys' own deadlines in Redis do.
    fn expire(&mut self) {
        let now = self.now;
        for slot in &mut self.slots {
            if slot.expire(now) {
                self.broken.note(Rule::NoLeaseIsUnbounded, slot.book.live(now).is_some());
                slot.book.forget_lease();
            }
        }
    }

    /// Another command put this into the key: the module is not asked, and its waiting rooms stay as they are.
    fn replace(&mut self, key: usize, entry: Entry, other: Option<Other>) {
        let slot = self.slot(key);
        (slot.entry, slot.other) = (entry, other);
        slot.book.forget_lease();
    }

    fn ask(&mut self, client: usize, key: usize, way: &Way, seen: &Seen) {
        let now = self.now;
        let slot = self.slot(key);
        if slot.other.is_some() {
            // HIT or WRONGTYPE, by the shell alone.
            return;
        }
        let decision = slot.entry.decide(&way.ask, now, || 0.5);
        let asked = match decision {
            Decision::Lock | Decision::Refresh(_) => {
                let mut expected = Expected { caller: Some(way.ask), ..Expected::default() };
                if slot.room.is_due(now) {
                    seen.note(Situation::ACallerComesBeforeTheScheduler, true);
                    let (given_up, due) = (slot.book.given_up(now), slot.book.due(now));
                    expected.allowed = given_up.union(&due).copied().collect();
                    expected.askers = due.difference(&given_up).copied().collect();
                    expected.required = given_up;
                }
                self.step(key, expected, seen, |key, from| key.ask(&way.ask, decision, from))
            }
            Decision::Behind { .. } => slot.entry.behind(now),
            _ => return,
        };
        let slot = self.slot(key);
        match asked {
            Asked::Answer(answer) => {
                if let Some(token) = answer.granted() {
                    let lease = slot.book.out;
                    let rebuild = slot.book.current.unwrap_or_default();
                    self.broken.note(Rule::AtMostOneLiveLeasePerKey, lease.map(|lease| lease.token) != Some(token));
                    self.become_(client, Client::Holding(Holding { key, token, rebuild, tied: way.ask.tied }));
                }
            }
            Asked::Behind { token, deadline } => {
                let Some(block_ms) = way.block_ms else { return };
                let live = slot.book.live(now).map(|lease| (lease.token, lease.deadline));
                self.broken.note(Rule::AtMostOneLiveLeasePerKey, live != Some((token, deadline)));
                self.next_waiter += 1;
                let id = WaiterId(self.next_waiter);
                let gives_up = if block_ms == 0 { UnixMs::NEVER } else { now.plus(block_ms) };
                let slot = self.slot(key);
                slot.room.join(token, deadline, id, Waiter { ask: way.ask, gives_up });
                slot.book.parked.insert(id, Parked { client, ask: way.ask, gives_up, joined: token });
                slot.book.deadlines.insert(token, deadline);
                seen.note(Situation::WaitersOfTwoRebuilds, slot.book.deadlines.len() > 1);
                self.become_(client, Client::Parked { key, id });
            }
        }
    }

    fn fill(
        &mut self,
        client: usize,
        holding: Holding,
        times: corral_lease::freshness::Times,
        memory: Memory,
        run: &Run,
        seen: &Seen,
    ) {
        let (held, value) = (self.is_heard(&holding, run, seen), value());
        let Holding { key, token, .. } = holding;
        let now = self.now;
        let slot = self.slot(key);
        let late = slot.book.out.is_some_and(|lease| lease.deadline <= now);
        let woken = if held { slot.book.everybody() } else { slot.book.joined(token) };
        seen.note(Situation::ALateFillIsStored, held && late);
        seen.note(Situation::AVoidFillAnswersItsWaiters, !held && !woken.is_empty());
        seen.note(Situation::AFillAnswersWaiters, held && !woken.is_empty());
        let before = slot.entry.clone();
        let expected = Expected {
            required: woken.clone(),
            allowed: woken,
            value: Some(value.clone()),
            stored: (held && memory == Memory::Free).then(|| value.clone()),
            ..Expected::default()
        };
        let filled = self.step(key, expected, seen, |key, _| key.fill(token, value, times, memory));
        let unchanged = self.slot(key).entry == before;
        self.broken.note(Rule::NothingStoredUnderAnOldToken, !held && filled == Filled::Stored);
        self.broken.note(Rule::AnOvertakenRebuildIsNeverStored, !held && !unchanged);
        self.broken.note(Rule::TheCurrentTokenIsHonoured, held && filled == Filled::Void);
        seen.note(Situation::AHolderFillsAfterAFailover, held && self.failed_over);
        self.become_(client, Client::Idle);
    }

    /// TOUCH, FAIL, PASS, RENEW, RELEASE.
    fn say(&mut self, act: Act, run: &Run, seen: &Seen) {
        let (Act::Touch { client }
        | Act::Fail { client }
        | Act::Pass { client }
        | Act::Renew { client }
        | Act::Release { client }) = act
        else {
            return;
        };
        let Some(holding) = self.holding(client) else { return };
        let Holding { key, token, .. } = holding;
        let held = self.is_heard(&holding, run, seen);
        let now = self.now;
        let slot = self.slot(key);
        let before = slot.entry.clone();
        let everybody = slot.book.everybody();
        let verdict = Expected { required: everybody.clone(), allowed: everybody, ..Expected::default() };
        let end = self.end_of(key, token);
        let mut stays = false;
        let heard = match act {
            Act::Touch { .. } => {
                let without_value = held && before.value().is_none();
                stays = without_value;
                let times = run.times.first().map(|times| times.resolve(now, || 0.5));
                let Some(times) = times else { return };
                let expected = match held {
                    true if without_value => Expected::default(),
                    true => Expected { value: before.value().cloned(), ..verdict },
                    false => end,
                };
                self.step(key, expected, seen, |key, from| key.touch(token, times, from)) || without_value
            }
            Act::Fail { .. } => {
                let expected = if held { verdict } else { end };
                let message: Arc<[u8]> = Arc::from(&b"down"[..]);
                self.step(key, expected, seen, |key, from| key.fail(token, message, BACKOFF_MS, from)).is_some()
            }
            Act::Pass { .. } => {
                let expected = if held { verdict } else { end };
                self.step(key, expected, seen, |key, from| key.pass(token, PASS_MS, from))
            }
            Act::Renew { .. } => {
                stays = true;
                self.step(key, Expected::default(), seen, |key, _| key.renew(token, RENEW_MS, LEASE_MAX_MS)).is_some()
            }
            _ => self.step(key, end, seen, |key, from| key.end(token, LeaseEnd::Released, from)),
        };
        self.broken.note(Rule::TheCurrentTokenIsHonoured, held && !heard);
        self.broken.note(Rule::NothingStoredUnderAnOldToken, !held && heard);
        if !held {
            let after = &self.slot(key).entry;
            let same = after.value() == before.value()
                && after.times() == before.times()
                && after.failure() == before.failure()
                && after.passing(UnixMs::EPOCH) == before.passing(UnixMs::EPOCH);
            // A step may find the key at its very end.
            let gone = before.is_vacant(now) && after.value().is_none();
            self.broken.note(Rule::AnOvertakenRebuildIsNeverStored, !same && !gone);
        }
        if !stays {
            self.become_(client, Client::Idle);
        }
    }

    fn crash(&mut self, client: usize, seen: &Seen) {
        match self.clients.get(client) {
            Some(Client::Parked { key, id }) => {
                let (key, id) = (*key, *id);
                let slot = self.slot(key);
                let left = slot.room.leave(id).is_some();
                slot.book.parked.remove(&id);
                self.broken.note(Rule::EveryWaiterIsAnsweredOnce, !left);
                seen.note(Situation::AWaiterLeaves, true);
            }
            Some(Client::Holding(holding)) if holding.tied => self.gone.push((holding.key, holding.token)),
            _ => {}
        }
        self.become_(client, Client::Idle);
    }

    fn replicate(&mut self) {
        let entries = self.slots.iter().map(|slot| (slot.entry.clone(), slot.book.current)).collect();
        if self.replica.is_some() {
            self.replica = Some(Replica { entries, largest: self.largest });
        }
    }

    fn fail_over(&mut self, failover: Option<Failover>, behind_ms: u64, seen: &Seen) {
        if failover.is_some_and(|failover| !failover.lags) {
            self.replicate();
        }
        let Some(Replica { entries, largest }) = self.replica.take() else { return };
        seen.note(Situation::AFailoverLosesAGrant, largest < self.largest);
        // It takes a moment. Parked clients are told -UNBLOCKED; ties stay with the old master.
        self.now = UnixMs::new(self.now.get().unwrap_or(START) + 1 - behind_ms);
        (self.mint, self.largest, self.failed_over) = (Mint::default(), largest, true);
        if let Some(token) = Token::new(largest) {
            self.mint.see(token);
        }
        for client in &mut self.clients {
            if matches!(client, Client::Parked { .. }) {
                *client = Client::Idle;
            }
        }
        self.gone.clear();
        for (slot, (entry, current)) in self.slots.iter_mut().zip(entries) {
            let book = Book { out: entry.lease().copied(), current, ..Book::default() };
            *slot = Slot { entry, other: None, room: Room::default(), book };
        }
    }

    /// Whether the holder's word must count. By the number of its rebuild, which is stricter than by its token, where
    /// a token cannot be given twice.
    fn is_heard(&mut self, holding: &Holding, run: &Run, seen: &Seen) -> bool {
        let book = &self.slot(holding.key).book;
        let by_token = book.out.is_some_and(|lease| lease.token == holding.token);
        let by_identity = book.current == Some(holding.rebuild);
        if run.tokens_can_repeat() {
            seen.note(Situation::ATokenIsGivenTwice, by_token && !by_identity);
            return by_token;
        }
        by_identity
    }

    /// What to expect of a lease's end without a verdict.
    fn end_of(&mut self, key: usize, token: Token) -> Expected {
        let now = self.now;
        let book = &self.slot(key).book;
        let askers: BTreeSet<_> = book.joined(token).union(&book.due(now)).copied().collect();
        Expected { allowed: askers.clone(), askers, ended: Some(token), ..Expected::default() }
    }

    /// One step of the core on one key, and whether it led to what it must.
    fn step<R>(
        &mut self,
        key: usize,
        expected: Expected,
        seen: &Seen,
        step: impl FnOnce(&mut Key, &mut Sources) -> Step<R>,
    ) -> R {
        let now = self.now;
        let mut mint = self.mint.clone();
        let slot = self.slot(key);
        let before = slot.entry.clone();
        let Step { reply, change, effects } = slot.key(now, &mut mint, step);
        self.mint = mint;
        self.observe(key, &before, effects, &expected, seen);
        let slot = self.slot(key);
        if change > Change::Nothing && slot.entry.is_vacant(now) {
            // What is not of use any more is deleted.
            slot.entry = Entry::vacant();
            slot.book.forget_lease();
        }
        reply
    }

    fn observe(&mut self, key: usize, before: &Entry, effects: Vec<Effect>, expected: &Expected, seen: &Seen) {
        let counts = Counts { largest: self.largest, rebuilds: self.next_rebuild };
        let mut observation = Observation::new(key, self.now, expected, counts, seen, std::mem::take(&mut self.broken));
        let Slot { book, entry, other, .. } = self.slot(key);
        for effect in effects {
            observation.take(effect, book);
        }
        observation.conclude(before, entry, other.is_some(), book);
        let Observation { broken, counts, moved, .. } = observation;
        (self.broken, self.largest, self.next_rebuild) = (broken, counts.largest, counts.rebuilds);
        for (client, next) in moved {
            self.become_(client, next);
        }
    }
}

impl Slot {
    fn key<R>(
        &mut self,
        now: UnixMs,
        mint: &mut Mint,
        step: impl FnOnce(&mut Key, &mut Sources) -> Step<R>,
    ) -> Step<R> {
        let Self { entry, room, other, .. } = self;
        let now_us = now.get().unwrap_or(START) * 1000;
        let mut from = Sources { mint, now_us, random: &mut || 0.5, db: 0 };
        step(&mut Key { entry, room, now, other: other.clone() }, &mut from)
    }

    /// Whether the key has come to its end. It is there through its last millisecond.
    fn expire(&mut self, now: UnixMs) -> bool {
        let until = match &self.other {
            Some(Other::String { fresh_until, .. }) => *fresh_until,
            Some(Other::Foreign) => UnixMs::NEVER,
            None => self.entry.kept_until(),
        };
        let over = until < now && (self.other.is_some() || self.entry != Entry::vacant());
        if over {
            (self.entry, self.other) = (Entry::vacant(), None);
        }
        over
    }
}

/// Each is another one: who stored it shows by its address.
fn value() -> Arc<[u8]> {
    Arc::from(&b"v"[..])
}
