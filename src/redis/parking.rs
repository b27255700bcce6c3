//! Parking a client, and what happens to it until its answer is on the wire.
//!
//! A parked client is in exactly one of three states:
//!
//! * *waiting*: its handle is in `state.waiting`, whether it still waits in its room or its answer is queued;
//! * *woken*: the handle was released with a [`Delivery`], which comes back to `discard`, delivered or not;
//! * *gone*: the server ended the wait (disconnect, CLIENT UNBLOCK), and the handle was let go.
//!
//! Each goes from the first to one of the others once, because that takes the handle out of `state.waiting`.

use corral_lease::ask::Answer;
use corral_lease::time::UnixMs;

use super::stats::{STATS, WAITERS_PEAK};
use super::sys::blocked::{self, Handle, Parked, Seat};
use super::sys::{context, Context, KeyName};
use super::waiting::{ParkedClient, Seated, Wish};
use super::wakes::{Delivery, Outcome};
use super::{log, scheduler, settings, state};

/// Used memory that one parked client costs on every server: two internal clients with their buffers.
const BYTES_PER_CLIENT: u64 = 36 << 10;

/// Memory kept free below `maxmemory` besides, for the buffers of the connections that ask: a herd comes with some.
const RESERVE_BYTES: u64 = 1 << 20;

/// Parks the calling client until there is an answer. Says no, and changes
/// nothing, where that cannot be done: the caller is then told WAIT.
pub fn park(context: &Context, name: KeyName, wish: &Wish) -> bool {
    let flags = context.flags();
    if flags.denies_blocking() || !flags.is_master() {
        return false;
    }
    let db = context.db();
    let (total, here) = state::with(|state| (state.waiting.len(), state.waiting.len_at(db, name.bytes())));
    let refused = if total as u64 >= settings::MAX_WAITERS.get() {
        Some("corral.max-waiters is reached")
    } else if here as u64 >= settings::MAX_WAITERS_PER_KEY.get() {
        Some("corral.max-waiters-per-key is reached")
    } else if !has_memory_for_one(context) {
        Some("one more could push memory over maxmemory")
    } else {
        None
    };
    if let Some(why) = refused {
        refuse(db, name, why);
        return false;
    }
    let client_id = context.client_id();
    let Some(handle) = blocked::park::<Seated>(context) else { return false };
    state::with(|state| {
        state.waiting.park(db, name.bytes(), wish, handle, client_id);
        if flags.is_cluster() {
            state.next_probe.get_or_insert(wish.now.plus(scheduler::OWNERSHIP_MS));
        }
        WAITERS_PEAK.raise_to(state.waiting.len() as u64);
    });
    scheduler::arm(context);
    true
}

fn refuse(db: u32, name: KeyName, why: &str) {
    STATS.waiters_refused.add(1);
    let now_ms = context::now_ms();
    if let Some(left_out) = state::with(|state| state.refusal_lines.admit(now_ms)) {
        log::waiter_refused(db, name.bytes(), why, left_out);
    }
}

/// Parking must never push the server over `maxmemory`: a herd must not evict the data set.
fn has_memory_for_one(context: &Context) -> bool {
    let ratio = context::used_memory_ratio();
    if ratio <= 0.0 {
        // No limit.
        return true;
    }
    // Far below the limit one client more cannot matter, and asking for the limit's size costs tens of microseconds.
    const SAFELY_BELOW: f32 = 0.5;
    if ratio < SAFELY_BELOW {
        return true;
    }
    let Some(limit) = context.memory_info(c"maxmemory") else { return false };
    let free = (limit as f64 * (1.0 - f64::from(ratio))).max(0.0) as u64;
    free >= RESERVE_BYTES + BYTES_PER_CLIENT
}

impl Parked for Seated {
    type Delivery = Delivery;

    fn deliver(context: &Context, delivery: &mut Delivery) {
        match &delivery.outcome {
            Outcome::Answer(answer) => context.reply_answer(answer),
            Outcome::Error(sentence) => context.reply_error(sentence),
        }
        delivery.delivered = true;
        if let Outcome::Answer(answer) = &delivery.outcome {
            count(answer);
        }
    }

    fn discard(context: &Context, delivery: Delivery) {
        if delivery.delivered {
            return;
        }
        // Never from here: the key must not be touched, and a server that became a replica sees itself as a master.
        state::with(|state| {
            state.holders_gone.extend(delivery.grant);
            if context::can_lose_replies() {
                state.unanswered.push(delivery.client_id);
            }
        });
        scheduler::arm(context);
    }

    fn time_out(context: &Context, seat: Seat) -> Option<Handle<Self>> {
        let now = UnixMs::new(context::now_ms());
        let (_, client, lease_left_ms) = state::with(|state| state.waiting.leave(seat, now))?;
        measure(&client);
        context.reply_answer(&Answer::Wait { lease_left_ms });
        STATS.waiters_timed_out.add(1);
        Some(client.handle)
    }

    fn leave(_context: &Context, seat: Seat) -> Option<Handle<Self>> {
        let now = UnixMs::new(context::now_ms());
        let (_, client, _) = state::with(|state| state.waiting.leave(seat, now))?;
        measure(&client);
        Some(client.handle)
    }
}

/// Enters how long a wait took that has come to its end, whatever ended it: no wait is invisible.
pub fn measure(client: &ParkedClient) {
    let now_us = context::monotonic_us();
    state::with(|state| state.waits.record(now_us.saturating_sub(client.since_us)));
}

fn count(answer: &Answer) {
    match answer {
        Answer::Wait { .. } => STATS.waiters_timed_out.add(1),
        // Builds for itself: served, but nothing saved.
        Answer::Pass { .. } => STATS.waiters_served.add(1),
        answer => {
            STATS.waiters_served.add(1);
            if answer.granted().is_none() {
                STATS.rebuilds_saved.add(1);
            }
        }
    }
}
