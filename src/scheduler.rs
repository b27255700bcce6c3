//! The one timer: deadlines, handovers, and the next batch of answers.
//!
//! Everything that is due outside a client's command happens here, on the main thread, and this is the only place
//! besides commands that writes to the keyspace. Writing outside a command is not always allowed: replicating while
//! clients are paused (CLIENT PAUSE, FAILOVER, SHUTDOWN, a slot handing over) aborts the server, and a replica must not
//! write at all. So each turn asks first, and comes back later if it must.

use corral_core::node::outbox::Outcome;
use corral_core::node::turn::Due;
use corral_core::request::Request;
use corral_core::time::SteadyMs;
use corral_server::{clock, timer, Context, Holds, OpenKey, Ownership};

use crate::environment::is_permitted;
use crate::keyspace;
use crate::memory::{self, Memory};
use crate::module::Corral;
use crate::parked;

/// How soon a turn that may not write tries again. Long enough to cost nothing, short enough that a handover after a
/// pause is not noticed.
const RETRY_MS: u64 = 20;

/// How soon a server that is loading tries again.
const LOADING_RETRY_MS: u64 = 100;

/// How often waiters of a cluster's node are asked whether their slot is still here.
const OWNERSHIP_MS: u64 = 1000;

/// Waiting rooms asked about per turn: some microseconds each, and ten thousand clients can wait in as many.
const PROBES_PER_TURN: usize = 200;

/// Keys looked at per turn before others are let in, in microseconds.
const TURN_US: u64 = 1500;

/// Smaller steps of the clock are not looked for: an alarm that is late by so much is hardly noticed.
const SET_CLOCK_US: u128 = 50_000;

/// Sees to it that the timer rings when something is next due. Cheap when it already does.
pub fn arm(context: &Context) {
    arm_after(context, 0);
}

/// As [`arm`], but not before `least_ms` have passed.
fn arm_after(context: &Context, least_ms: u64) {
    let moment = memory::moment();
    let now = moment.steady();
    let stopped = memory::with(|memory| {
        let due = next_due(memory)?;
        let in_ms = match due {
            Due::Now => 0,
            Due::At { wall, steady } => {
                let by_wall = wall.map(|at| moment.now().until(at));
                let by_steady = steady.map(|at| now.until(at));
                by_wall.into_iter().chain(by_steady).min()?
            }
        };
        let at = now.plus(in_ms.max(least_ms));
        match &memory.alarm {
            Some((_, rings)) if *rings <= at => None,
            _ => Some((memory.alarm.take(), at)),
        }
    });
    let Some((old, at)) = stopped else { return };
    if let Some((old, _)) = old {
        timer::stop(context, old);
    }
    let alarm = timer::start::<Corral>(context, now.until(at));
    memory::with(|memory| memory.alarm = Some((alarm, at)));
}

fn next_due(memory: &Memory) -> Option<Due> {
    if !memory.unanswered.is_empty() {
        return Some(Due::Now);
    }
    let due = memory.node.next_due();
    if memory.next_probe == SteadyMs(0) || !memory.node.has_rooms() {
        return due;
    }
    let probe = Due::At { wall: None, steady: Some(memory.next_probe) };
    Some(match due {
        None => probe,
        Some(Due::Now) => Due::Now,
        Some(Due::At { wall, steady }) => {
            Due::At { wall, steady: Some(steady.map_or(memory.next_probe, |at| at.min(memory.next_probe))) }
        }
    })
}

/// With the server's housekeeping: its timers go by the clock that can be set, so an alarm is set anew after that. Also
/// has the timer ring for what is due by the clock of now.
pub fn watch_clock(context: &Context) {
    let moment = memory::moment();
    let lead_us = i128::from(moment.wall_us) - i128::from(moment.steady_us);
    let stopped = memory::with(|memory| {
        let before_us = memory.lead_us.replace(lead_us).unwrap_or(lead_us);
        let is_set = (lead_us - before_us).unsigned_abs() > SET_CLOCK_US;
        is_set.then(|| memory.alarm.take()).flatten()
    });
    if let Some((alarm, _)) = stopped {
        timer::stop(context, alarm);
    }
    arm(context);
}

/// The timer rang.
pub fn ring(context: &Context) {
    memory::with(|memory| memory.alarm = None);
    let least_ms = turn(context);
    arm_after(context, least_ms);
}

/// A panic in [`ring`]: the alarm that rang may still be noted, and would pass for one that is to come.
pub fn recover(context: &Context) {
    memory::with(|memory| memory.alarm = None);
    arm_after(context, RETRY_MS);
}

/// One turn. Returns how long the next must wait at least, in ms.
fn turn(context: &Context) -> u64 {
    let flags = context.flags();
    if flags.is_loading() {
        return LOADING_RETRY_MS;
    }
    let moment = memory::moment();
    let is_paused = context.avoids_replica_traffic();
    for client in memory::with(|memory| std::mem::take(&mut memory.unanswered)) {
        // On 7.0, a reply can be lost between a wake and CLIENT UNBLOCK in the same turn: the connection is closed, so
        // that its client sees an error rather than silence.
        context.kill_client(client);
    }
    let step = memory::with(|memory| memory.node.turn(moment, is_paused));
    keyspace::carry_out(context, context.db(), None, step.effects);
    let mut least_ms = 0;
    if is_paused {
        least_ms = RETRY_MS;
    } else {
        if flags.is_cluster() && flags.is_master() {
            probe_ownership(context, moment.steady());
        }
        if flags.is_master() {
            keyspace::replicate_floor(context);
        }
        visit(context, flags.is_master(), flags.is_cluster());
    }
    release(context, true);
    least_ms
}

/// Looks at the keys where something is due, for as long as one turn may take.
fn visit(context: &Context, is_master: bool, is_cluster: bool) {
    let started_us = clock::monotonic_us();
    while clock::monotonic_us().saturating_sub(started_us) < TURN_US {
        let Some((db, name)) = memory::with(|memory| memory.node.next_visit(memory::moment())) else { return };
        if !context.select(db) {
            continue;
        }
        let string = context.string(&name);
        if !is_master {
            keyspace::look(context, string.as_key(), &Request::Observe);
            continue;
        }
        if is_cluster {
            match context.owns(crate::commands::get::NAME, string.as_key()) {
                Ownership::Here => {}
                // A key that came before its slot: what is due is kept until the slot is here, or the key is not.
                Ownership::Elsewhere if OpenKey::<Corral>::read(context, string.as_key()).kind() == Holds::Entry => {
                    memory::with(|memory| memory.node.visit_later(db, name, memory::moment()));
                    continue;
                }
                Ownership::Elsewhere => {
                    memory::with(|memory| memory.node.moved_away(db, &name));
                    continue;
                }
                // Not moved: what is due is kept until the cluster is up.
                Ownership::ClusterDown => {
                    memory::with(|memory| memory.node.visit_later(db, name, memory::moment()));
                    continue;
                }
            }
        }
        keyspace::visit(context, string.as_key());
    }
}

/// In a cluster a slot can move away while clients wait for one of its keys; the server tells nobody.
fn probe_ownership(context: &Context, now: SteadyMs) {
    let rooms = memory::with(|memory| {
        if memory.next_probe > now {
            return Vec::new();
        }
        let rooms = memory.node.rooms_after(memory.probed.take(), PROBES_PER_TURN);
        match rooms.len() < PROBES_PER_TURN {
            true => memory.next_probe = now.plus(OWNERSHIP_MS),
            false => {
                memory.next_probe = now;
                memory.probed = rooms.last().cloned();
            }
        }
        rooms
    });
    for (db, name) in rooms {
        if context.select(db) {
            let string = context.string(&name);
            match context.owns(crate::commands::get::NAME, string.as_key()) {
                Ownership::Here => {}
                Ownership::Elsewhere => memory::with(|memory| memory.node.moved_away(db, &name)),
                Ownership::ClusterDown => memory::with(|memory| memory.node.cluster_is_down(db, &name)),
            }
        }
    }
}

/// Releases as many parked clients as the turn still allows. `is_turn`: on a new turn of the event loop.
pub fn release(context: &Context, is_turn: bool) {
    let moment = memory::moment();
    let (has_any, wants_memory) = memory::with(|memory| (memory.node.has_answers(), memory.node.wants_memory()));
    if !has_any && !is_turn {
        return;
    }
    let used = if wants_memory { context.used_memory() } else { None };
    memory::with(|memory| memory.node.begin_release(moment, used, is_turn));
    while let Some((released, key)) = memory::with(|memory| memory.node.next_release(moment)) {
        // What a client may not, it gets not: asked again when its answer goes out.
        let may_have =
            key.is_none_or(|(_, name)| is_permitted(context, released.waiter, context.string(&name).as_key()));
        let outcome = match may_have {
            true => released.outcome,
            false => Outcome::Error(corral_core::error::Error::NoPermission),
        };
        parked::release(released.waiter, outcome, released.client, released.since_us, None);
    }
    memory::with(|memory| memory.node.end_release(memory::moment()));
}
