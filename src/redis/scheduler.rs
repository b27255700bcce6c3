//! The one timer: deadlines, handovers, and the next batch of answers.
//!
//! Everything that is due outside a client's command happens here, on the main thread, and this is the only place
//! besides commands that writes to the keyspace. Writing outside a command is not always allowed: replicating while
//! clients are paused (CLIENT PAUSE, FAILOVER, SHUTDOWN, a slot handing over) aborts the server, and a replica must not
//! write at all. So each turn asks first, and comes back later if it must.

use corral_lease::ask::Answer;
use corral_lease::key::LeaseEnd;
use corral_lease::time::UnixMs;
use corral_lease::token::Token;

use super::keyspace::{self, Over};
use super::ledger::Line;
use super::refusal::{INTERNAL, TRY_AGAIN, UNBLOCKED};
use super::state::{self, Place, State};
use super::stats::STATS;
use super::sys::timer::{self, Alarm};
use super::sys::{context, Context, KeyName};
use super::wakes::{self, Outcome};
use super::{log, settings};

struct Scheduler;

/// How soon a turn that may not write tries again. Long enough to cost nothing, short enough that a handover after a
/// pause is not noticed.
const RETRY_MS: u64 = 20;

/// How soon a server that is loading tries again.
const LOADING_RETRY_MS: u64 = 100;

/// How often waiters of a cluster's node are asked whether their slot is still here.
pub const OWNERSHIP_MS: u64 = 1000;

/// Waiting rooms asked about per turn: some microseconds each, and ten thousand clients can wait in as many.
const PROBES_PER_TURN: usize = 200;

/// Handovers done per turn before others are let in, in microseconds.
const TURN_US: u64 = 1500;

/// Expired leases struck off per turn: a microsecond each, and a million can share a deadline.
const EXPIRIES_PER_TURN: usize = 1000;

/// Sees to it that the timer rings when something is next due. Cheap when it already does.
pub fn arm(context: &Context) {
    arm_at(context, UnixMs::EPOCH);
}

/// As [`arm`], but not before `earliest`.
fn arm_at(context: &Context, earliest: UnixMs) {
    let Some(due) = state::with(|state| next_due(state)) else { return };
    // One reading of the clock for both the moment and the timer, which counts from its own start. Never a moment
    // before it: if the clock is set back, an alarm must be seen to be late, and replaced.
    let now = UnixMs::new(context::now_ms());
    let due = due.max(earliest).max(now);
    let old = state::with(|state| match &state.alarm {
        Some((_, at)) if *at <= due => None,
        _ => Some(state.alarm.take()),
    });
    let Some(old) = old else { return };
    if let Some((old, _)) = old {
        timer::stop(context, old);
    }
    let alarm = timer::start::<Scheduler>(context, now.until(due));
    state::with(|state| state.alarm = Some((alarm, due)));
}

fn next_due(state: &State) -> Option<UnixMs> {
    let at_once = state.distrusted
        || state.role_changed
        || !state.wakes.is_empty()
        || !state.holders_gone.is_empty()
        || !state.unanswered.is_empty()
        || !state.to_probe.is_empty();
    if at_once {
        return Some(UnixMs::EPOCH);
    }
    [state.waiting.next_moment(), state.ledger.next_deadline(), state.next_probe].into_iter().flatten().min()
}

/// After a caught panic: whatever it left half done, no waiter may depend on it.
pub fn distrust() {
    state::try_with(|state| {
        state.distrusted = true;
        state.resets.distrust();
    });
}

impl Alarm for Scheduler {
    fn ring(context: &Context) {
        state::with(|state| state.alarm = None);
        let earliest = turn(context);
        arm_at(context, earliest);
    }

    fn recover(context: &Context) {
        // The alarm that rang may still be noted, and would pass for one that is to come.
        state::with(|state| state.alarm = None);
        arm_at(context, UnixMs::new(context::now_ms()).plus(RETRY_MS));
    }
}

/// One turn. Returns the earliest moment for the next.
fn turn(context: &Context) -> UnixMs {
    let now = UnixMs::new(context::now_ms());
    let flags = context.flags();
    if flags.is_loading() {
        return now.plus(LOADING_RETRY_MS);
    }
    if state::with(|state| std::mem::take(&mut state.distrusted)) {
        end_every_wait(Outcome::Error(INTERNAL));
    }
    close_unanswered(context);
    state::with(|state| {
        state.role_changed = false;
        state.ties.expire(now);
    });
    strike_expired(now, flags.is_master());
    if !flags.is_master() {
        // Redis unblocks its blocked clients itself when it becomes a replica; Valkey 9 leaves ours to us.
        state::with(|state| {
            state.holders_gone.clear();
            state.next_probe = None;
            state.to_probe.clear();
        });
        end_every_wait(Outcome::Error(UNBLOCKED));
        return now;
    }
    if context::avoids_replica_traffic() {
        give_up(now);
        wakes::pump(context);
        return now.plus(RETRY_MS);
    }
    if flags.is_cluster() {
        probe_ownership(context, now);
    }
    hand_over(context, now);
    wakes::pump_anew(context);
    now
}

/// Ends leases whose holder is gone, and advances every room that is due, for as long as one turn may take.
fn hand_over(context: &Context, now: UnixMs) {
    let started_us = context::monotonic_us();
    while context::monotonic_us().saturating_sub(started_us) < TURN_US {
        if let Some((place, token)) = state::with(|state| state.holders_gone.pop()) {
            end_lease(context, &place, token);
        } else if let Some(place) = state::with(|state| state.waiting.due(now)) {
            advance(context, &place);
        } else {
            return;
        }
    }
}

fn end_lease(context: &Context, place: &Place, token: Token) {
    at(context, place, |name| {
        if !context.flags().is_cluster() || context.owns(name) {
            keyspace::step(context, name, Over::Entries, None, |key, from| key.end(token, LeaseEnd::HolderGone, from));
        }
    });
}

/// *advance*, wherever the key stands by now.
fn advance(context: &Context, place: &Place) {
    at(context, place, |name| {
        if context.flags().is_cluster() && !context.owns(name) {
            send_away(place);
            return;
        }
        keyspace::step(context, name, Over::Entries, None, |key, from| key.advance(from));
    });
}

/// While writing is not allowed, waiters whose own limit has passed are answered all the same.
fn give_up(now: UnixMs) {
    state::with(|state| {
        for place in state.waiting.all_due(now) {
            for (id, lease_left_ms) in state.waiting.visit(place.db, &place.key, |room| room.take_given_up(now)) {
                state.wakes.push(vec![id], Outcome::Answer(Answer::Wait { lease_left_ms }));
            }
        }
    });
}

/// In a cluster a slot can move away while clients wait for one of its keys; the server tells nobody.
fn probe_ownership(context: &Context, now: UnixMs) {
    let places = state::with(|state| {
        if state.to_probe.is_empty() && state.next_probe.is_none_or(|moment| moment <= now) {
            state.to_probe = state.waiting.places();
            state.next_probe = (!state.to_probe.is_empty()).then(|| now.plus(OWNERSHIP_MS));
        }
        state.to_probe.split_off(state.to_probe.len().saturating_sub(PROBES_PER_TURN))
    });
    for place in &places {
        at(context, place, |name| {
            if !context.owns(name) {
                send_away(place);
            }
        });
    }
}

fn send_away(place: &Place) {
    state::with(|state| {
        let everybody = state.waiting.visit(place.db, &place.key, |room| room.take_all());
        state.wakes.push(everybody.into_keys().collect(), Outcome::Error(TRY_AGAIN));
    });
}

fn end_every_wait(outcome: Outcome) {
    // All at once: this server's role has changed or its module cannot be trusted, and neither leaves time for pacing.
    for client in state::with(|state| {
        state.wakes.clear();
        state.waiting.evacuate()
    }) {
        wakes::release(client, outcome.clone());
    }
}

/// On 7.0, a reply can be lost between a wake and CLIENT UNBLOCK in the same turn: the connection is closed, so that
/// its client sees an error rather than silence.
fn close_unanswered(context: &Context) {
    for client_id in state::with(|state| std::mem::take(&mut state.unanswered)) {
        context.kill_client(client_id);
    }
}

/// Takes the leases whose deadlines have passed off the ledger; it is the master's to count them.
fn strike_expired(now: UnixMs, is_master: bool) {
    for _ in 0..EXPIRIES_PER_TURN {
        let Some(line) = state::with(|state| state.ledger.take_expired(now)) else { return };
        if is_master {
            tell_expired(&line);
        }
    }
}

/// Counts one expired lease, and writes it to the log if that is wanted and not too often.
pub fn tell_expired(line: &Line) {
    STATS.leases_expired.add(1);
    if !settings::LOG_EXPIRED_LEASES.get() {
        return;
    }
    let now_ms = context::now_ms();
    if let Some(left_out) = state::with(|state| state.expiry_lines.admit(now_ms)) {
        let age_ms = line.lease.granted_at.until(UnixMs::new(now_ms));
        log::lease_expired(line.place.db, &line.place.key, age_ms, &line.holder(), left_out);
    }
}

/// Runs `body` in the key's own database.
fn at(context: &Context, place: &Place, body: impl FnOnce(KeyName)) {
    if context.select(place.db) {
        let name = context.string(&place.key);
        body(name.as_key());
    }
}
