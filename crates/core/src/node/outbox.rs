//! Answers on their way to parked clients, in paced batches.
//!
//! Releasing a client costs the server some 8 µs, most of it in write(2) at the end of the turn, and copies the reply
//! into the client's buffer. Ten thousand at once would stall everybody else for 80 ms; a thousand times 1 MiB would
//! fill memory and evict the data set. So a bounded number of clients and bytes is released in a turn of the event
//! loop, however many commands it runs, keys take turns, and a burst of large values waits for its readers.

use alloc::collections::BTreeMap;
use core::ops::RangeInclusive;

use super::slab::Id;
use crate::answer::Answer;
use crate::error::Error;
use crate::time::Moment;

/// What a parked client is told.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    Answer(Answer),
    Error(Error),
}

/// One answer for many.
#[derive(Clone, Debug)]
pub struct Batch {
    pub source: Source,
    /// For those who take an old value, and for those who do not.
    pub lenient: Outcome,
    pub strict: Outcome,
    /// The key's last build time: what each of them saves.
    pub build_ms: u32,
    sent_bytes: usize,
}

/// Whom a batch is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Everybody in a room that has left its name.
    Room(Id),
    /// Everybody in a detached cohort.
    Cohort(Id),
}

#[derive(Clone, Default, Debug)]
pub struct Outbox {
    /// By the order they came; served in turns from `next` on.
    small: BTreeMap<u64, Batch>,
    large: BTreeMap<u64, Batch>,
    next: u64,
    last: u64,
    budget: Budget,
    pace: Pace,
    /// Of large answers, released since memory was last looked at.
    unlooked_bytes: usize,
    burst: Option<Burst>,
    is_held_back: bool,
    has_released: bool,
}

/// Time that the releases of one turn may take the server, callbacks and writes included, in microseconds. Less takes
/// longer in all, since a timer gives at most a thousand turns a second.
const TURN_US: u64 = 2000;

/// Clients released in a first turn: about [`TURN_US`] on a machine where each takes 30 µs. The next ones follow from what it
/// took, and are twice as many where it was fast.
const CLIENTS_AT_FIRST: usize = 64;

/// However long a turn took, and however short: so many are few enough on any machine, and enough to come to an end.
const CLIENTS_PER_TURN: RangeInclusive<usize> = 32..=1024;

/// Bytes released likewise: as many as a loopback or a fast network takes in the same 2 ms.
const BYTES_PER_TURN: usize = 2 << 20;

/// Unsent replies allowed to pile up: an eighth of a GiB is the most a burst may cost, and other things grow too.
const BYTES_IN_FLIGHT: u64 = 64 << 20;

/// Bytes released before memory is looked at again: looking costs tens of microseconds.
const BYTES_BETWEEN_LOOKS: usize = 8 << 20;

/// Answers up to this size, in bytes, do not wait for others' readers...
const SMALL_BYTES: usize = 64 << 10;
/// ...until their own have been sent so much.
const SMALL_BATCH_BYTES: usize = 8 << 20;

/// How long readers that take nothing can hold the large answers up, in microseconds.
const PATIENCE_US: u64 = 100_000;

/// What may still be released, and the millisecond that it was granted in.
#[derive(Clone, Copy, Debug)]
struct Budget {
    clients: usize,
    bytes: usize,
    granted_ms: u64,
    /// Clients there were to release when this turn or this command began.
    begun_with: usize,
}

/// How many clients a turn releases.
#[derive(Clone, Copy, Debug)]
struct Pace {
    clients: usize,
    /// When a turn last released as many, in microseconds of the clock that is never set.
    full_us: Option<u64>,
}

/// Many bytes are in flight.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Burst {
    /// Used memory before it.
    baseline: u64,
    /// The least used memory seen since readers stopped taking, and when.
    held: Option<(u64, u64)>,
}

impl Outbox {
    pub fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty()
    }

    pub fn push(&mut self, source: Source, lenient: Outcome, strict: Outcome, build_ms: u32) {
        self.last += 1;
        let is_small = lenient.size().max(strict.size()) <= SMALL_BYTES;
        let batch = Batch { source, lenient, strict, build_ms, sent_bytes: 0 };
        let queue = if is_small { &mut self.small } else { &mut self.large };
        queue.insert(self.last, batch);
    }

    /// Whether used memory must be known before more is released.
    pub fn wants_memory(&self) -> bool {
        match self.burst {
            _ if self.large.is_empty() => false,
            Some(Burst { held: Some(_), .. }) => true,
            _ => self.unlooked_bytes > BYTES_BETWEEN_LOOKS,
        }
    }

    /// A turn of the event loop begins.
    pub fn begin_turn(&mut self, moment: Moment) {
        self.pace.learn(moment.steady_us);
        self.refill(moment);
    }

    /// Whether this turn may tell one more client that its limit has passed. Half of its clients are kept for what comes
    /// after.
    pub fn has_room_for_limits(&self) -> bool {
        self.budget.clients > self.pace.clients / 2
    }

    /// Whether this turn may hand over to one more client. A quarter of its clients is kept for answers on their way.
    pub fn has_room(&self) -> bool {
        let kept = if self.is_empty() { 0 } else { self.pace.clients / 4 };
        self.budget.clients > kept
    }

    /// A client was answered on its own, without a batch.
    pub fn charge(&mut self, bytes: usize) {
        self.budget.clients = self.budget.clients.saturating_sub(1);
        self.budget.bytes = self.budget.bytes.saturating_sub(bytes);
    }

    /// A new grant in every new millisecond. The writes that a turn's releases lead to take longer than that, so the next
    /// turn always has one; a turn that runs a hundred fills has little more.
    fn refill(&mut self, moment: Moment) {
        let now_ms = moment.steady().0;
        if self.budget.granted_ms != now_ms {
            self.budget = Budget { granted_ms: now_ms, ..Budget::of(self.pace.clients) };
        }
        self.budget.begun_with = self.budget.clients;
    }

    /// Begins to release, in a turn with what is left of its budget. `used`: the server's memory, if it was wanted.
    pub fn begin(&mut self, moment: Moment, used: Option<u64>, is_turn: bool) {
        if let Some(used) = used {
            let unlooked = self.unlooked_bytes as u64;
            let burst = self.burst.get_or_insert(Burst { baseline: used.saturating_sub(unlooked), held: None });
            self.is_held_back = burst.holds(used, moment.steady_us);
            if !self.is_held_back {
                self.unlooked_bytes = 0;
            }
        } else if !self.wants_memory() {
            self.is_held_back = false;
        }
        if !is_turn {
            self.refill(moment);
        }
    }

    /// The batch whose turn it is; `None` if nothing may be released for now.
    pub fn turn(&mut self) -> Option<(u64, &Batch)> {
        if self.budget.clients == 0 || self.budget.bytes == 0 {
            return None;
        }
        let in_turn = |queue: &BTreeMap<u64, Batch>, next: u64| {
            queue.range(next..).next().or_else(|| queue.first_key_value()).map(|(number, _)| *number)
        };
        let number = match in_turn(&self.small, self.next) {
            Some(number) => number,
            None if self.is_held_back => return None,
            None => in_turn(&self.large, self.next)?,
        };
        self.next = number + 1;
        let batch = self.small.get(&number).or_else(|| self.large.get(&number))?;
        Some((number, batch))
    }

    /// One client of a batch was released with `bytes`.
    pub fn released(&mut self, number: u64, bytes: usize) {
        self.charge(bytes);
        self.has_released = true;
        if let Some(batch) = self.small.get_mut(&number) {
            batch.sent_bytes = batch.sent_bytes.saturating_add(bytes);
            if batch.sent_bytes > SMALL_BATCH_BYTES {
                if let Some(batch) = self.small.remove(&number) {
                    self.large.insert(number, batch);
                }
            }
        } else {
            self.unlooked_bytes = self.unlooked_bytes.saturating_add(bytes);
        }
    }

    /// Everybody of a batch has been released or is gone.
    pub fn done(&mut self, number: u64) {
        if self.small.remove(&number).is_none() {
            self.large.remove(&number);
        }
    }

    /// Ends what [`Outbox::begin`] began. Says whether anybody of a batch was released.
    pub fn end(&mut self, moment: Moment) -> bool {
        let is_full = self.budget.clients == 0 && self.budget.begun_with == self.pace.clients;
        self.pace.full_us = is_full.then_some(moment.steady_us);
        if self.large.is_empty() {
            (self.burst, self.unlooked_bytes, self.is_held_back) = (None, 0, false);
        }
        core::mem::take(&mut self.has_released)
    }
}

impl Budget {
    const fn of(clients: usize) -> Self {
        Self { clients, bytes: BYTES_PER_TURN, granted_ms: 0, begun_with: clients }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(CLIENTS_AT_FIRST)
    }
}

impl Pace {
    /// A new turn has come: as many clients as fit into [`TURN_US`] at what the last full one took, at most twice as
    /// many as then and at least half, as something else can have taken the time.
    fn learn(&mut self, now_us: u64) {
        let Some(full_us) = self.full_us.take() else { return };
        let took_us = now_us.saturating_sub(full_us).max(1);
        let fitting = (self.clients as u64).saturating_mul(TURN_US) / took_us;
        let fitting = usize::try_from(fitting).unwrap_or(usize::MAX).clamp(self.clients / 2, self.clients * 2);
        self.clients = fitting.clamp(*CLIENTS_PER_TURN.start(), *CLIENTS_PER_TURN.end());
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self { clients: CLIENTS_AT_FIRST, full_us: None }
    }
}

impl Burst {
    /// Whether `used` bytes of memory call for waiting. Readers that take nothing for [`PATIENCE_US`] get no more.
    fn holds(&mut self, used: u64, now_us: u64) -> bool {
        if used <= self.baseline.saturating_add(BYTES_IN_FLIGHT) {
            self.held = None;
            return false;
        }
        match self.held {
            Some((least, since)) if used >= least => {
                if now_us.saturating_sub(since) < PATIENCE_US {
                    return true;
                }
                // One turn's worth goes out, to whoever's turn it is, and patience begins anew.
                self.held = None;
                false
            }
            _ => {
                self.held = Some((used, now_us));
                true
            }
        }
    }
}

impl Outcome {
    /// Bytes of its reply, about.
    pub fn size(&self) -> usize {
        const FRAME: usize = 64;
        match self {
            Outcome::Answer(answer) => answer.payload().map_or(0, <[u8]>::len).saturating_add(FRAME),
            Outcome::Error(error) => error.sentence().len(),
        }
    }
}

#[cfg(feature = "model")]
impl Outbox {
    /// The batches on their way, in the order that their turns come.
    pub fn batches(&self) -> impl Iterator<Item = &Batch> {
        let behind = self.small.range(self.next..).chain(self.small.range(..self.next));
        behind.chain(&self.large).map(|(_, batch)| batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_releases_as_many_as_fit_into_its_time() {
        let mut pace = Pace::default();
        for (took_us, clients) in
            [(2 * TURN_US, 32), (TURN_US, 32), (100, 64), (100, 128), (1_000_000, 64), (1_000_000, 32)]
        {
            pace.full_us = Some(5_000_000);
            pace.learn(5_000_000 + took_us);
            assert_eq!(pace.clients, clients, "after {took_us} us");
        }
        for (took_us, limit) in [(0, *CLIENTS_PER_TURN.end()), (u64::MAX / 2, *CLIENTS_PER_TURN.start())] {
            for _ in 0..10 {
                pace.full_us = Some(0);
                pace.learn(took_us);
            }
            assert_eq!(pace.clients, limit);
        }
        pace.learn(1);
        assert_eq!(pace.clients, *CLIENTS_PER_TURN.start(), "nothing to learn from a turn that was not full");
    }

    #[test]
    fn a_burst_is_held_back_while_readers_take_and_for_a_while_when_they_do_not() {
        let mut burst = Burst { baseline: 1 << 30, held: None };
        let full = (1 << 30) + BYTES_IN_FLIGHT + 10;
        assert!(!burst.holds(1 << 30, 0));
        assert!(burst.holds(full, 0));
        assert!(burst.holds(full - 5, 90_000), "readers take: wait on");
        assert!(burst.holds(full - 5, 120_000), "and patience counts from there");
        assert!(!burst.holds(full - 5, 90_000 + PATIENCE_US), "nobody takes: go on");
        assert!(burst.holds(full + (2 << 20), 200_000));
    }

    #[test]
    fn keys_take_turns_and_small_answers_do_not_wait_for_large_ones() {
        let answer = |size: usize| {
            let message = alloc::vec![0; size].into();
            Outcome::Answer(Answer::Fail { message, retry_in_ms: None })
        };
        let mut outbox = Outbox::default();
        outbox.push(Source::Room(1), answer(8 << 20), answer(1), 0);
        outbox.push(Source::Room(2), answer(10), answer(10), 0);
        outbox.push(Source::Room(3), answer(10), answer(10), 0);
        outbox.begin(Moment { wall_us: 5000, steady_us: 5000 }, None, false);
        let mut next = || {
            let (number, batch) = outbox.turn().unwrap();
            let source = batch.source;
            outbox.released(number, 10);
            source
        };
        assert_eq!([next(), next(), next()], [Source::Room(2), Source::Room(3), Source::Room(2)]);
    }
}
