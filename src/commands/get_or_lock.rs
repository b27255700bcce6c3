//! `CACHE.GETORLOCK key [LEASE ms] [BLOCK ms] [NOSTALE] [FORCE] [EARLY beta] [TIED] [NOTIFY] [GROUP name] [ONCE ms]`

use std::ffi::CStr;

use corral_core::answer::{or_never, until, Answer, Payload};
use corral_core::entry::Entry;
use corral_core::error::Error;
use corral_core::node::rooms::WaiterId;
use corral_core::node::Reply;
use corral_core::options;
use corral_core::request::{Caller, Form, Options, Request};
use corral_core::tag::TagFloor;
use corral_core::time::UnixMs;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::Access;
use corral_server::{blocked, clock, cluster, Argv, Context, KeyName, OpenKey};
use lazy_static::lazy_static;

use super::{absent, error, with_options, FIRST, KEY_ARG};
use crate::module::Corral;
use crate::{keyspace, memory, parked, reply, resets, settings};

pub const NAME: &CStr = c"CACHE.GETORLOCK";

pub struct GetOrLock;

impl Command for GetOrLock {
    error!();

    const SPEC: Spec = Spec {
        name: NAME,
        // No write: the server would refuse hits where it serves GET. What is granted is guarded here (see the node's
        // environment). No deny-oom: a hit must work when memory is full.
        flags: c"blocking fast",
        arity: -2,
        keys: Keys::One(Access::Update),
        acl: c"",
        summary:
            c"Answers with the value, with a lease to rebuild it, or with a signal to wait or to use the old value",
        complexity: c"O(1)",
        since: FIRST,
        tips: c"",
        args: || with_options(vec![KEY_ARG], &options::GET_OR_LOCK),
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let name = args.key(0).map_err(absent)?;
        let options = match args.len() {
            1 => Options::default(),
            _ => Options::parse(args.from(1), true, settings::lease_max_ms())?,
        };
        check(context, &options)?;
        if hit(context, name, &options, |value, stale_in_ms| reply::hit(context, value, stale_in_ms)).is_some() {
            return Ok(());
        }
        let told = ask(context, name, &options, Form::Single)?;
        match told {
            Reply::Park { waiter, otherwise } => {
                if !park(context, waiter) {
                    reply::answer(context, &otherwise, Some(name));
                }
                Ok(())
            }
            told => reply::reply(context, told, name),
        }
    }
}

lazy_static! {
    /// What the node raises when it forgets marks of tags: a tagged hit is compared with it.
    static ref TAG_FLOOR: TagFloor = memory::with(|memory| memory.node.tag_floor().clone());
}

/// What a call is refused for even where it would be a hit.
pub fn check(context: &Context, options: &Options) -> Result<(), Error> {
    if options.is_tied && context.flags().is_script() {
        return Err(Error::TiedWithoutConnection);
    }
    if options.notify && context.db() != 0 {
        return Err(Error::NotifyDatabase);
    }
    Ok(())
}

/// A fresh value, dealt with where it lies; `None` if this is to be looked at more closely. A hit pays for nothing else:
/// no lock, no clock but the server's, nothing armed.
#[inline]
pub fn hit<R>(context: &Context, name: KeyName, options: &Options, serve: impl FnOnce(&[u8], i64) -> R) -> Option<R> {
    let beta = options.early_beta.unwrap_or_else(settings::early_beta);
    if options.class.force || beta > 0.0 {
        return None;
    }
    let mut open = OpenKey::<Corral>::read(context, name);
    let entry = open.entry()?;
    let now = UnixMs::from_micros(clock::command_us());
    let value = fresh_value(entry, now)?;
    resets::count_hit();
    Some(serve(value, or_never(until(now, entry.fresh_until()))))
}

/// The value, if it is fresh and nothing about its entry asks for a closer look.
#[inline]
fn fresh_value(entry: &Entry, now: UnixMs) -> Option<&[u8]> {
    if !entry.is_plainly_fresh(now) {
        return None;
    }
    if entry.tagged().is_some_and(|tagged| tagged.is_marked(&TAG_FLOOR)) {
        return None;
    }
    entry.value().map(|value| &**value)
}

/// Asks the node.
pub fn ask(context: &Context, name: KeyName, options: &Options, form: Form) -> Result<Reply, Error> {
    let request = Request::GetOrLock { options: *options, caller: caller(context), form };
    let told = match context.flags().is_master() {
        true => keyspace::step(context, name, &request),
        // Nothing is written on a replica, whatever is found.
        false => keyspace::look(context, name, &request),
    };
    match told {
        Reply::Error(Error::ReadOnly) => Err(read_only(context, name)),
        Reply::Error(error) => Err(error),
        told => Ok(told),
    }
}

/// Who calls, as the node knows clients.
pub fn caller(context: &Context) -> Caller {
    Caller { client: if context.caller_is_connection() { context.client_id() } else { 0 } }
}

/// READONLY; in a cluster where the master is.
pub fn read_only(context: &Context, name: KeyName) -> Error {
    let master = if context.flags().is_cluster() { context.my_master() } else { None };
    match master {
        Some((host, port)) => Error::Moved { slot: cluster::slot(name.bytes()), host, port },
        None => Error::ReadOnly,
    }
}

/// Parks the calling client under the number that the node has given it. False if the server declines.
fn park(context: &Context, waiter: WaiterId) -> bool {
    let user = context.user_name();
    match blocked::park::<Corral>(context) {
        Some(handle) => {
            parked::insert(waiter, handle, user);
            true
        }
        None => {
            memory::with(|memory| memory.node.not_parked(waiter));
            false
        }
    }
}

/// The answer of a hit as it is kept for a batch.
pub fn kept_hit(value: &[u8], stale_in_ms: i64) -> Answer {
    let stale_in_ms = u64::try_from(stale_in_ms).ok();
    Answer::Hit { value: Payload::Bytes(value.into()), stale_in_ms }
}
