//! One step on one key: look, decide, store, replicate, wake.
//!
//! The keyspace is written from here only, and this is called from two places only: commands and the scheduler.

use std::ffi::CStr;
use std::sync::Arc;

use corral_lease::codec::{self, Header, ValuePart};
use corral_lease::entry::{Entry, Lease};
use corral_lease::key::{Change, Effect, Grantee, Key, LeaseEnd, Other, Sources, Step};
use corral_lease::time::UnixMs;

use super::refusal::WRONG_TYPE;
use super::scheduler;
use super::state::{self, State};
use super::stats::STATS;
use super::sys::key::{Holds, OpenKey};
use super::sys::{context, Context, KeyName};
use super::wakes::{self, Outcome};

/// What a step may take the place of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    /// Other types are left alone: for the step, such a key holds nothing.
    Entries,
    /// Any type, as SET does.
    Anything,
}

/// Keyspace events, of the module class.
pub mod event {
    use std::ffi::CStr;

    pub const LOCK: &CStr = c"cache.lock";
    pub const FILL: &CStr = c"cache.fill";
    pub const FAIL: &CStr = c"cache.fail";
    pub const PASS: &CStr = c"cache.pass";
    pub const INVALIDATE: &CStr = c"cache.invalidate";
}

/// Runs one step on one key and carries out what it says. `told` is the keyspace event of a step that changed what
/// readers see.
pub fn step<R>(
    context: &Context,
    name: KeyName,
    over: Over,
    told: Option<&CStr>,
    step: impl FnOnce(&mut Key, &mut Sources) -> Step<R>,
) -> R {
    let now_us = context::now_us();
    let now = UnixMs::from_micros(now_us);
    let db = context.db();
    let string = awaited_string(context, name, db);
    let mut key = OpenKey::write(context, name);
    let before = key.kind();
    let other = match before {
        Holds::String if over == Over::Entries => {
            Some(Other::String { value: string.unwrap_or_default().into(), fresh_until: key.deadline(now) })
        }
        Holds::Foreign if over == Over::Entries => Some(Other::Foreign),
        _ => None,
    };
    let mut made = Entry::vacant();
    let entry = key.entry().unwrap_or(&mut made);
    let Step { reply, change, effects } = state::with(|state| run(state, db, name.bytes(), entry, other, now_us, step));
    if change > Change::Nothing && (over == Over::Anything || matches!(before, Holds::Nothing | Holds::Entry)) {
        store(context, name, &mut key, made, before, change, now);
    }
    drop(key);
    if change >= Change::Times {
        context.signal_modified(name);
        if let Some(event) = told {
            context.notify(event, name);
        }
    }
    carry_out(context, name, db, effects);
    wakes::pump(context);
    scheduler::arm(context);
    reply
}

fn run<R>(
    state: &mut State,
    db: u32,
    name: &[u8],
    entry: &mut Entry,
    other: Option<Other>,
    now_us: u64,
    step: impl FnOnce(&mut Key, &mut Sources) -> Step<R>,
) -> Step<R> {
    let State { mint, waiting, .. } = state;
    let mut random = context::random;
    let mut from = Sources { mint, now_us, random: &mut random, db };
    waiting.visit(db, name, |room| step(&mut Key { entry, room, now: UnixMs::from_micros(now_us), other }, &mut from))
}

/// The ordinary string of a key, if somebody waits for it. Not to be read while the key is open: outside a command it
/// can come to its end between the two, and the server would free what is open.
fn awaited_string(context: &Context, name: KeyName, db: u32) -> Option<Vec<u8>> {
    let awaited = state::with(|state| state.waiting.len_at(db, name.bytes())) > 0;
    (awaited && OpenKey::read(context, name).kind() == Holds::String).then(|| context.string_at(name))?
}

/// Brings the keyspace, the replicas and the AOF up to the entry. `made` is the entry of a key that held none.
fn store(context: &Context, name: KeyName, key: &mut OpenKey, made: Entry, before: Holds, change: Change, now: UnixMs) {
    let vacant = key.entry().map_or_else(|| made.is_vacant(now), |entry| entry.is_vacant(now));
    if vacant {
        if before != Holds::Nothing {
            key.delete();
            context.replicate_unlink(name);
        }
        return;
    }
    match before {
        Holds::Entry => {}
        Holds::Nothing => key.put(made),
        Holds::String | Holds::Foreign => {
            key.delete();
            key.put(made);
        }
    }
    let present = key.deadline(now);
    let Some(entry) = key.entry() else { return };
    let deadline = match change {
        // A lease only ever lengthens the key's life, and not that of its value: what EXPIRE or PERSIST set is not
        // undone by a rebuild.
        Change::Nothing | Change::Lease if before == Holds::Entry => {
            entry.end_value_at(present);
            present.max(entry.lease_kept_until())
        }
        _ => entry.kept_until(),
    };
    let value = entry.value().cloned();
    let (part, carried) = match value {
        None => (ValuePart::Absent, None),
        Some(value) if change == Change::Value || before != Holds::Entry => (ValuePart::Carried, Some(value)),
        Some(_) => (ValuePart::Kept, None),
    };
    let header = codec::encode(entry, part, Some(deadline));
    if deadline != present {
        key.set_deadline(deadline, now);
    }
    context.replicate_apply(name, &header, carried.as_deref());
}

/// Does what a step says is to be done outside the entry.
fn carry_out(context: &Context, name: KeyName, db: u32, effects: Vec<Effect>) {
    for effect in effects {
        match effect {
            Effect::Granted { lease, to } => granted(context, name, db, lease, to),
            Effect::Renewed { lease } => renewed(context, name, db, lease),
            Effect::Ended { lease, end } => ended(name, db, &lease, end),
            Effect::Refuse { waiters } => state::with(|state| state.wakes.push(waiters, Outcome::Error(WRONG_TYPE))),
            Effect::Wake { waiters, answer } if answer.granted().is_some() => {
                // A grant does not queue behind others' answers: it is the next rebuild.
                for id in waiters {
                    if let Some(client) = state::with(|state| state.waiting.take(id)) {
                        wakes::release(client, Outcome::Answer(answer.clone()));
                    }
                }
            }
            Effect::Wake { waiters, answer } => {
                state::with(|state| state.wakes.push(waiters, Outcome::Answer(answer)));
            }
        }
    }
}

fn granted(context: &Context, name: KeyName, db: u32, lease: Lease, to: Grantee) {
    let holder = match to {
        Grantee::Caller => caller(context),
        Grantee::Waiter(id) => {
            STATS.handovers.add(1);
            state::with(|state| state.waiting.client(id).map(|client| client.client_id))
        }
    };
    STATS.leases_granted.add(1);
    state::with(|state| enter(state, name, db, lease, holder));
    context.notify(event::LOCK, name);
}

/// Enters a lease into the ledger, and ties it to its holder if it asked for that.
fn enter(state: &mut State, name: KeyName, db: u32, lease: Lease, holder: Option<u64>) {
    let place = state.ledger.enter(db, name.bytes(), lease, holder);
    if let Some(holder) = holder.filter(|_| lease.tied) {
        state.ties.tie(holder, lease, place);
    }
}

fn renewed(context: &Context, name: KeyName, db: u32, lease: Lease) {
    let caller = caller(context);
    state::with(|state| {
        state.ties.renew(lease);
        if !state.ledger.renew(db, name.bytes(), lease) {
            // Struck off when its deadline passed, and live again. Who renews it holds it, unless it is tied to another.
            let holder = state.ties.client(lease.token).or(caller);
            enter(state, name, db, lease, holder);
        }
    });
}

fn ended(name: KeyName, db: u32, lease: &Lease, end: LeaseEnd) {
    let now = UnixMs::new(context::now_ms());
    let line = state::with(|state| {
        if !end.leaves_holder_building() {
            state.ties.untie(lease.token);
        }
        if end.is_with_value() {
            state.builds.record(lease.granted_at.until(now).saturating_mul(1000));
        }
        state.ledger.end(db, name.bytes(), lease.token)
    });
    // Taken over a moment before the scheduler noticed: told as it would have.
    if let (LeaseEnd::Expired, Some(line)) = (end, line) {
        scheduler::tell_expired(&line);
    }
}

/// The calling client. `None` for a script: its client is the interpreter's, which never closes and is nobody to name.
fn caller(context: &Context) -> Option<u64> {
    (!context.flags().is_script()).then(|| context.client_id())
}

/// Carries out one replicated effect: what the master's [`step`] left of the entry.
pub fn apply(context: &Context, name: KeyName, header: Header, value: Option<&[u8]>) {
    let now = UnixMs::new(context::now_ms());
    let db = context.db();
    let mut key = OpenKey::write(context, name);
    let deadline = header.expire_at;
    let value = match header.value {
        ValuePart::Absent => None,
        ValuePart::Carried => value.map(Arc::from),
        ValuePart::Kept => key.entry().and_then(|entry| entry.value().cloned()),
    };
    let applied = header.into_entry(value);
    let lease = applied.lease().copied();
    let kind = key.kind();
    match key.entry() {
        Some(entry) => *entry = applied,
        None => {
            if kind != Holds::Nothing {
                key.delete();
            }
            key.put(applied);
        }
    }
    if let Some(deadline) = deadline {
        key.set_deadline(deadline, now);
    }
    drop(key);
    state::with(|state| match lease {
        Some(lease) => {
            state.mint.see(lease.token);
            state.ledger.enter(db, name.bytes(), lease, None);
        }
        None => {
            state.ledger.forget(db, name.bytes());
        }
    });
    context.signal_modified(name);
    context.replicate_verbatim();
    scheduler::arm(context);
}
