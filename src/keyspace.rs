//! One call on one key: shows it to the node and carries out what the node says.
//!
//! The keyspace is written from here only, and this is called from two places only: commands and the scheduler.

use std::sync::Arc;

use corral_core::codec::{self, Header, ValuePart};
use corral_core::entry::Entry;
use corral_core::node::event::Event;
use corral_core::node::loading::{LoadedFrom, LoadedLease};
use corral_core::node::name::Name;
use corral_core::node::{Becomes, Effect, Held, Key, Reply, Step, Word};
use corral_core::request::Request;
use corral_core::time::UnixMs;
use corral_core::token::Token;
use corral_server::{log as server_log, Context, Holds, KeyName, OpenKey};

use crate::environment::ServerEnvironment;
use crate::module::Corral;
use crate::{log, memory, parked, scheduler};

pub const APPLY: &std::ffi::CStr = c"CACHE.APPLY";

/// Runs one step on one key of the selected database, and carries out what it says.
pub fn step(context: &Context, name: KeyName, request: &Request) -> Reply {
    let reply = run(context, name, true, request);
    scheduler::release(context, false);
    scheduler::arm(context);
    reply
}

/// Looks at a key where something is due. Answers go out with the turn's others.
pub fn visit(context: &Context, name: KeyName) {
    run(context, name, true, &Request::Visit);
}

/// The same where nothing may be written: on a replica.
pub fn look(context: &Context, name: KeyName, request: &Request) -> Reply {
    run(context, name, false, request)
}

fn run(context: &Context, name: KeyName, writes: bool, request: &Request) -> Reply {
    let moment = memory::moment();
    let (db, now_ms) = (context.db(), moment.wall_us / 1000);
    let string = awaited_string(context, name, db);
    let is_paused = context.avoids_replica_traffic();
    let mut environment = ServerEnvironment::new(context, name);
    let mut open = match writes {
        true => OpenKey::<Corral>::write(context, name),
        false => OpenKey::<Corral>::read(context, name),
    };
    let before = open.kind();
    let held = match before {
        Holds::Nothing => Held::Nothing,
        Holds::Entry => Held::Entry,
        Holds::String => Held::String { value: string },
        Holds::Foreign => Held::Foreign,
    };
    let expires = open.deadline(now_ms).map_or(UnixMs::NEVER, UnixMs::new);
    let mut new = Entry::vacant();
    let step = {
        let entry = open.entry().unwrap_or(&mut new);
        let mut key =
            Key { db, name: name.bytes(), held, entry, expires, moment, is_paused, environment: &mut environment };
        memory::with(|memory| memory.node.request(&mut key, request))
    };
    if writes {
        store(context, name, &mut open, new, before, &step);
    }
    drop(open);
    if step.signals {
        context.signal_modified(name);
    }
    carry_out(context, db, Some(name), step.effects);
    step.reply
}

/// The ordinary string of a key, if somebody waits for it. Not to be read while the key is open: outside a command it
/// can come to its end between the two, and the server would free what is open.
fn awaited_string(context: &Context, name: KeyName, db: u32) -> Option<Arc<[u8]>> {
    let is_awaited = memory::with(|memory| memory.node.is_awaited(db, name.bytes()));
    let is_string = is_awaited && OpenKey::<Corral>::read(context, name).kind() == Holds::String;
    is_string.then(|| context.string_at(name).map(|bytes| Arc::from(&*bytes)))?
}

/// Brings the keyspace, the replicas and the AOF up to what the step says. `new` is the entry of a key that held none.
fn store(context: &Context, name: KeyName, open: &mut OpenKey<Corral>, new: Entry, before: Holds, step: &Step) {
    let told = |effect| codec::with_events(&events(step), effect);
    let (value, expire_at) = match step.becomes {
        Becomes::Same => return,
        Becomes::Removed => {
            open.delete();
            replicate(context, name, &told(codec::encode_removal()), None);
            return;
        }
        Becomes::Stored { value, expire_at } => (value, expire_at),
    };
    match before {
        Holds::Entry => {}
        Holds::Nothing => {
            open.put(new);
        }
        Holds::String | Holds::Foreign => {
            open.delete();
            open.put(new);
        }
    }
    let Some(entry) = open.entry() else { return };
    let header = told(codec::encode(entry, value, Some(expire_at)));
    let carried = entry.value().cloned().filter(|_| value == ValuePart::Carried);
    open.set_deadline(expire_at.get());
    replicate(context, name, &header, carried.as_deref());
}

/// The keyspace events that replicas are to send of a step.
fn events(step: &Step) -> Vec<u8> {
    let code = |effect: &Effect| match effect {
        Effect::Notify(word) => word.code(),
        _ => None,
    };
    step.effects.iter().filter_map(code).collect()
}

/// Sends an effect to the replicas and the AOF. The server says no only where it could not find the command.
fn replicate(context: &Context, name: KeyName, header: &[u8], value: Option<&[u8]>) {
    let sent = match value {
        Some(value) => context.replicate(APPLY, name, &[header, value]),
        None => context.replicate(APPLY, name, &[header]),
    };
    if !sent {
        server_log::write(server_log::WARNING, "an effect could not be replicated: replicas and AOF differ from here");
    }
}

/// Sends marks of tags, with the empty key: a slot migration fails at a module's keyless command.
pub fn replicate_marks(context: &Context, record: &codec::MarksRecord) {
    let empty = context.string(b"");
    replicate(context, empty.as_key(), &codec::encode_marks(record), None);
}

/// Tells replicas and the AOF of the floor of all tags, if it rose.
pub fn replicate_floor(context: &Context) {
    for record in memory::with(|memory| memory.node.take_floor()) {
        replicate_marks(context, &record);
    }
}

/// Does what a step says is to be done besides storing the key. `name`: of the key at hand, if there is one.
pub fn carry_out(context: &Context, db: u32, name: Option<KeyName>, effects: Vec<Effect>) {
    for effect in effects {
        match effect {
            Effect::Notify(word) => {
                if let Some(name) = name {
                    notify(context, name, word);
                }
            }
            Effect::Expired { db: of, name, token, holder } => expired(context, db, of, &name, token, holder),
            Effect::Release { waiter, outcome, client, since_us, grant } => {
                parked::release(waiter, outcome, client, since_us, grant);
            }
            Effect::Built { us } => memory::with(|memory| memory.builds.record(us)),
            Effect::NotParked { reason } => log::waiter_refused(db, name.map_or(&[], KeyName::bytes), reason),
            Effect::Publish(message) => {
                let text = format!("{} {}", message.state.word(), message.number);
                context.publish_shard(&message.name, text.as_bytes());
            }
        }
    }
}

/// A lease ended by its deadline: nothing is written, but readers and subscribers are to know.
fn expired(context: &Context, home: u32, db: u32, name: &Name, token: Token, holder: u64) {
    if context.select(db) {
        let string = context.string(name);
        context.signal_modified(string.as_key());
        context.notify(corral_core::node::Word::Expire.text(), string.as_key());
        context.select(home);
    }
    let is_master = memory::with(|memory| memory.node.is_master());
    if is_master {
        log::lease_expired(context, db, name, token, holder);
    }
}

/// Carries out one replicated effect: what the master's step left of the key.
pub fn apply(context: &Context, name: KeyName, header: Header, value: Option<&[u8]>) {
    let moment = memory::moment();
    let db = context.db();
    let mut open = OpenKey::<Corral>::write(context, name);
    let before = open.kind();
    let expire_at = header.expire_at;
    let value = match header.value {
        ValuePart::Absent => None,
        ValuePart::Carried => value.map(Arc::from),
        ValuePart::Kept => open.entry().and_then(|entry| entry.value().cloned()),
    };
    let youngest = header.youngest_token();
    let mut applied = memory::with(|memory| header.into_entry(value, memory.node.tags()));
    // To a master that loads nothing it comes with its slot, from a node with another clock.
    let is_settled = !context.flags().is_loading()
        && memory::with(|memory| memory.node.is_master() && memory.node.judge_arrival(&mut applied, moment.now()));
    let lease = applied.lease().cloned();
    let old = token_of(&mut open);
    match open.entry() {
        Some(entry) => *entry = applied,
        None => {
            if before != Holds::Nothing {
                open.delete();
            }
            open.put(applied);
        }
    }
    if let Some(deadline) = expire_at {
        open.set_deadline(deadline.get());
    }
    drop(open);
    memory::with(|memory| {
        memory.node.applied(db, name.bytes(), old, lease.as_ref(), youngest, moment);
        if is_settled {
            // Replicas get the slot's effects as they came: when the slot is here, a visit tells them.
            let (name, from) = (Name::new(name.bytes()), LoadedFrom::Payload { is_settled });
            memory.node.event(Event::Loaded(LoadedLease { db, name, lease, youngest, from }), moment);
        }
    });
    tell_of_applied(context, name);
}

/// Carries out a replicated removal.
pub fn apply_removal(context: &Context, name: KeyName) {
    let moment = memory::moment();
    let db = context.db();
    let mut open = OpenKey::<Corral>::write(context, name);
    let old = token_of(&mut open);
    if open.kind() != Holds::Nothing {
        open.delete();
    }
    drop(open);
    memory::with(|memory| memory.node.applied(db, name.bytes(), old, None, None, moment));
    tell_of_applied(context, name);
}

/// Sends a keyspace event: on a replica those that its master sent.
pub fn notify(context: &Context, name: KeyName, word: Word) {
    match word {
        Word::Delete => context.notify_generic(word.text(), name),
        _ => context.notify(word.text(), name),
    }
}

fn token_of(open: &mut OpenKey<Corral>) -> Option<Token> {
    open.entry()?.lease().map(|lease| lease.token)
}

/// Replicas of this replica, readers and the timer are to know what became of a key.
fn tell_of_applied(context: &Context, name: KeyName) {
    context.signal_modified(name);
    context.replicate_verbatim();
    scheduler::arm(context);
}
