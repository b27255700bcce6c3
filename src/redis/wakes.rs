//! Answers on their way to parked clients, in paced batches.
//!
//! Releasing a client costs the server some 8 µs, most of it in write(2) at the end of the turn, and copies the reply
//! into the client's buffer. Ten thousand at once would stall everybody else for 80 ms; a thousand times 1 MiB would
//! fill memory and evict the data set. So a bounded number of clients and bytes is released in a turn of the event
//! loop, however many commands it runs, and a burst of large values waits for its readers.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use corral_lease::ask::Answer;
use corral_lease::room::WaiterId;
use corral_lease::token::Token;

use super::parking;
use super::state::{self, Place};
use super::stats::STATS;
use super::sys::{context, Context};

/// What a parked client is told.
#[derive(Clone, Debug)]
pub enum Outcome {
    Answer(Answer),
    Error(&'static CStr),
}

/// What travels to one client.
#[derive(Debug)]
pub struct Delivery {
    pub outcome: Outcome,
    /// The lease it grants, to be handed on if the client is gone before it gets there.
    pub grant: Option<(Arc<Place>, Token)>,
    pub client_id: u64,
    pub delivered: bool,
}

/// Time that the releases of one turn may take the server, callbacks and writes included, in microseconds. Less takes
/// longer in all, since a timer gives at most a thousand turns a second.
const TURN_US: u64 = 2000;

/// Clients released in a first turn: about [`TURN_US`] at 8 µs each. The next ones follow from what it took.
const CLIENTS_AT_FIRST: usize = 256;

/// However long a turn took, and however short: so many are few enough on any machine, and enough to come to an end.
const CLIENTS_PER_TURN: RangeInclusive<usize> = 32..=1024;

/// Bytes released likewise: as many as a loopback or a fast network takes in the same 2 ms.
const BYTES_PER_TURN: usize = 2 << 20;

/// Unsent replies allowed to pile up: an eighth of a GiB is the most a burst may cost, and other things grow too.
const BYTES_IN_FLIGHT: u64 = 64 << 20;

/// Bytes released before memory is looked at again: looking costs tens of microseconds.
const BYTES_BETWEEN_LOOKS: usize = 8 << 20;

/// Answers up to this size, in bytes, never wait for readers: they fit into the reply buffer that every connection has.
const SMALL_BYTES: usize = 1 << 10;

/// How long readers that take nothing can hold the others up, in microseconds.
const PATIENCE_US: u64 = 100_000;

/// Answers on their way.
#[derive(Default, Debug)]
pub struct Wakes {
    small: VecDeque<Batch>,
    large: VecDeque<Batch>,
    budget: Budget,
    pace: Pace,
    /// Of large answers, released since memory was last looked at.
    unlooked_bytes: usize,
    burst: Option<Burst>,
}

/// What may still be released, and the millisecond since the epoch that it was granted in.
#[derive(Default, Clone, Copy, Debug)]
struct Budget {
    clients: usize,
    bytes: usize,
    granted_ms: u64,
}

/// How many clients a turn releases.
#[derive(Clone, Copy, Debug)]
struct Pace {
    clients: usize,
    /// When a turn last released as many, by the monotonic clock, in microseconds.
    full_us: Option<u64>,
}

#[derive(Debug)]
struct Batch {
    waiters: std::vec::IntoIter<WaiterId>,
    outcome: Outcome,
}

/// Many bytes are in flight.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Burst {
    /// Used memory before it.
    baseline: u64,
    /// The least used memory seen since readers stopped taking, and when, in microseconds of the clock that is never
    /// set.
    held: Option<(u64, u64)>,
}

impl Wakes {
    pub fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty()
    }

    /// Has these clients answered, in this order. Small answers do not wait for large ones before them: one key's
    /// readers, however slow, hold up nobody else's errors, WAITs and short values.
    pub fn push(&mut self, waiters: Vec<WaiterId>, outcome: Outcome) {
        let queue = if outcome.size() <= SMALL_BYTES { &mut self.small } else { &mut self.large };
        queue.push_back(Batch { waiters: waiters.into_iter(), outcome });
    }

    /// Forgets all answers that are on their way: who would have got them is answered otherwise.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The next answer: a small one, or else a large one unless those are held back.
    fn next(&mut self, is_held_back: bool) -> Option<(WaiterId, Outcome)> {
        if let Some(next) = next_of(&mut self.small) {
            return Some(next);
        }
        if is_held_back {
            return None;
        }
        next_of(&mut self.large)
    }
}

fn next_of(queue: &mut VecDeque<Batch>) -> Option<(WaiterId, Outcome)> {
    loop {
        let batch = queue.front_mut()?;
        match batch.waiters.next() {
            Some(id) => return Some((id, batch.outcome.clone())),
            None => queue.pop_front(),
        };
    }
}

/// Releases the next clients, on a new turn of the event loop.
pub fn pump_anew(context: &Context) {
    let now_us = context::monotonic_us();
    state::with(|state| state.wakes.pace.learn(now_us));
    pump(context);
}

/// Releases as many clients as the turn still allows.
pub fn pump(context: &Context) {
    if state::with(|state| state.wakes.is_empty()) {
        return;
    }
    let is_held_back = is_held_back(context);
    let now_ms = context::now_ms();
    let granted = state::with(|state| state.wakes.budget.renewed(now_ms, state.wakes.pace.clients));
    let (mut left, mut large_bytes) = (granted, 0_usize);
    while left.clients > 0 && left.bytes > 0 {
        let next = state::with(|state| {
            let (id, outcome) = state.wakes.next(is_held_back)?;
            Some((state.waiting.take(id), outcome))
        });
        let Some((client, outcome)) = next else { break };
        // Gone meanwhile: its disconnect took it out.
        let Some(client) = client else { continue };
        left.clients -= 1;
        let size = outcome.size();
        left.bytes = left.bytes.saturating_sub(size);
        if size > SMALL_BYTES {
            large_bytes = large_bytes.saturating_add(size);
        }
        release(client, outcome);
    }
    if left.clients < granted.clients {
        STATS.wake_batches.add(1);
    }
    let now_us = context::monotonic_us();
    state::with(|state| {
        let wakes = &mut state.wakes;
        wakes.budget = left;
        wakes.pace.full_us = (left.clients == 0 && granted.clients == wakes.pace.clients).then_some(now_us);
        wakes.unlooked_bytes = wakes.unlooked_bytes.saturating_add(large_bytes);
        if wakes.large.is_empty() {
            wakes.burst = None;
            wakes.unlooked_bytes = 0;
        }
    });
}

impl Budget {
    /// A new grant in every new millisecond. The writes that a turn's releases lead to take longer than that, so the
    /// next turn always has one; a turn that runs a hundred fills has little more.
    const fn renewed(self, now_ms: u64, clients: usize) -> Self {
        if self.granted_ms == now_ms {
            self
        } else {
            Self { clients, bytes: BYTES_PER_TURN, granted_ms: now_ms }
        }
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

/// Releases one client with its answer.
pub fn release(client: super::waiting::ParkedClient, outcome: Outcome) {
    parking::measure(&client);
    let grant = outcome.granted().map(|token| (client.place.clone(), token));
    let delivery = Delivery { outcome, grant, client_id: client.client_id, delivered: false };
    client.handle.release(delivery);
}

/// Whether large answers wait for readers: unsent replies have piled up and are still being taken.
fn is_held_back(context: &Context) -> bool {
    let look = state::with(|state| match state.wakes.burst {
        _ if state.wakes.large.is_empty() => false,
        None => state.wakes.unlooked_bytes > BYTES_BETWEEN_LOOKS,
        Some(burst) => burst.held.is_some() || state.wakes.unlooked_bytes > BYTES_BETWEEN_LOOKS,
    });
    if !look {
        return false;
    }
    let Some(used) = context.memory_info(c"used_memory") else { return false };
    let now_us = context::monotonic_us();
    state::with(|state| {
        let wakes = &mut state.wakes;
        let burst =
            wakes.burst.get_or_insert(Burst { baseline: used.saturating_sub(wakes.unlooked_bytes as u64), held: None });
        let held_back = burst.holds(used, now_us);
        if !held_back {
            wakes.unlooked_bytes = 0;
        }
        held_back
    })
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
                // One turn's worth goes out, and patience begins anew.
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
    /// The token it grants, if it grants one.
    pub const fn granted(&self) -> Option<Token> {
        match self {
            Outcome::Answer(answer) => answer.granted(),
            Outcome::Error(_) => None,
        }
    }

    /// Bytes of its reply.
    fn size(&self) -> usize {
        const FRAME: usize = 64;
        match self {
            Outcome::Answer(answer) => answer.payload().map_or(0, <[u8]>::len).saturating_add(FRAME),
            Outcome::Error(sentence) => sentence.count_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_releases_as_many_as_fit_into_its_time() {
        let mut pace = Pace::default();
        for (took_us, clients) in [(2 * TURN_US, 128), (TURN_US, 128), (100, 256), (1_000_000, 128), (1_000_000, 64)] {
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
}
