//! `CACHE.INFO key`

use corral_core::answer::{or_never, until};
use corral_core::entry::Entry;
use corral_core::error::Error;
use corral_core::fields;
use corral_core::lease::Lease;
use corral_core::node::report::Audience;
use corral_core::policy::DEFAULT;
use corral_core::time::{Clock, UnixMs};
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::Access;
use corral_server::{Argv, Context, Holds, OpenKey};

use super::{absent, error, FIRST, KEY_ARG};
use crate::memory;
use crate::module::Corral;

pub struct Info;

impl Command for Info {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.INFO",
        flags: c"readonly fast",
        arity: 2,
        keys: Keys::One(Access::Read),
        acl: c"",
        summary: c"Describes what a key holds: its times, its lease and holder, who waits, how the last rebuild went",
        complexity: c"O(1)",
        since: FIRST,
        tips: c"nondeterministic_output",
        args: || vec![KEY_ARG],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let name = args.key(0).map_err(absent)?;
        let db = context.db();
        let moment = memory::moment();
        let now = moment.now();
        let mut open = OpenKey::<Corral>::read(context, name);
        let audience = memory::with(|memory| memory.node.audience(db, name.bytes()));
        if let Some(entry) = open.entry() {
            let (seen, holder) = memory::with(|memory| {
                let seen = memory.node.seen(db, entry);
                let token = seen.live_lease(Clock::at(now)).map(|lease| lease.token);
                let holder = token.and_then(|token| memory.node.holder(db, name.bytes(), token));
                (seen, holder)
            });
            drop(open);
            let value_bytes = seen.value().map_or(0, |value| value.len());
            describe(context, &seen, value_bytes, None, audience, holder, now);
            return Ok(());
        }
        match open.kind() {
            Holds::Nothing | Holds::Entry => context.reply_null(),
            // An ordinary string is a value that was never built here. It is not read.
            Holds::String => {
                let expires = open.deadline(moment.wall_us / 1000).map_or(UnixMs::NEVER, UnixMs::new);
                let length = open.string_length().unwrap_or(0);
                drop(open);
                describe(context, &Entry::vacant(), length, Some(expires), audience, None, now);
            }
            Holds::Foreign => return Err(Error::WrongType),
        }
        Ok(())
    }
}

/// `string`: the key's own deadline, where it holds an ordinary string.
fn describe(
    context: &Context,
    entry: &Entry,
    value_bytes: usize,
    string: Option<UnixMs>,
    audience: Audience,
    holder: Option<u64>,
    now: UnixMs,
) {
    let clock = Clock::at(now);
    let windows = entry.windows();
    let (state, fresh_ms) = match string {
        Some(expires) => ("HIT", or_never(until(now, expires))),
        None => {
            let fresh_ms = entry.value().map_or(0, |_| or_never(until(now, entry.fresh_until())));
            (entry.peek(clock).state().word(), fresh_ms)
        }
    };
    context.reply_map(fields::OF_KEY.len());
    context.reply_word(fields::STATE.name);
    context.reply_bytes(state.as_bytes());
    context.reply_word(fields::VALUE_BYTES.name);
    context.reply_count(value_bytes as u64);
    context.reply_word(fields::FRESH_MS.name);
    context.reply_number(fresh_ms);
    context.reply_word(fields::SWR_MS.name);
    context.reply_count(windows.swr_ms);
    context.reply_word(fields::SIE_MS.name);
    context.reply_count(windows.sie_ms);
    context.reply_word(fields::BUILD_MS.name);
    context.reply_count(u64::from(entry.build_ms()));
    context.reply_word(fields::FILLS.name);
    context.reply_count(u64::from(entry.fills()));
    context.reply_word(fields::TAGS.name);
    let tags = entry.tagged().map_or(&[][..], |tagged| &tagged.tags);
    context.reply_array(tags.len());
    tags.iter().for_each(|tag| context.reply_bytes(tag.name()));
    context.reply_word(fields::VERSION.name);
    optional(context, entry.version());
    context.reply_word(fields::FLOOR.name);
    optional(context, entry.floor(now).map(|floor| floor.version));
    context.reply_word(fields::GROUP.name);
    match entry.live_lease(clock) {
        None => context.reply_null(),
        Some(lease) => context.reply_bytes(lease.group().map_or(DEFAULT, |group| group)),
    }
    context.reply_word(fields::LEASE.name);
    match entry.live_lease(clock) {
        None => context.reply_null(),
        Some(lease) => {
            context.reply_map(fields::OF_LEASE.len());
            token_and_times(context, lease, now);
            context.reply_word(fields::TIED.name);
            context.reply_count(u64::from(lease.is_tied));
            context.reply_word(fields::HOLDER.name);
            self::holder(context, holder);
        }
    }
    context.reply_word(fields::WAITERS.name);
    context.reply_count(u64::from(audience.waiters));
    context.reply_word(fields::LISTENERS.name);
    context.reply_count(u64::from(audience.listeners));
    context.reply_word(fields::LAST_FAILURE.name);
    match entry.failure() {
        Some(failure) => context.reply_bytes(&failure.message),
        None => context.reply_null(),
    }
    context.reply_word(fields::FAILURES_IN_A_ROW.name);
    context.reply_count(u64::from(entry.failures_in_a_row()));
    context.reply_word(fields::BACKOFF_MS.name);
    context.reply_count(entry.backing_off(now).map_or(0, |failure| now.until(failure.until)));
}

fn optional(context: &Context, number: Option<u64>) {
    match number {
        Some(number) => context.reply_count(number),
        None => context.reply_null(),
    }
}

/// Three pairs of a map: a lease's token, its age and the ms left.
pub fn token_and_times(context: &Context, lease: &Lease, now: UnixMs) {
    context.reply_word(fields::TOKEN.name);
    context.reply_count(lease.token.get());
    context.reply_word(fields::AGE_MS.name);
    context.reply_count(lease.granted_at.until(now));
    context.reply_word(fields::LEFT_MS.name);
    context.reply_count(now.until(lease.deadline));
}

/// The holder as known on this node: client id, name and address; `gone` if its connection is closed, nil if it is a
/// script or another node's client.
pub fn holder(context: &Context, id: Option<u64>) {
    let Some(id) = id.filter(|id| *id != 0) else {
        context.reply_null();
        return;
    };
    let Some(address) = context.client_address(id) else {
        context.reply_bytes(b"gone");
        return;
    };
    let name = context.client_name(id).unwrap_or_default();
    context.reply_map(fields::OF_HOLDER.len());
    context.reply_word(fields::ID.name);
    context.reply_count(id);
    context.reply_word(fields::NAME.name);
    context.reply_bytes(&name);
    context.reply_word(fields::ADDR.name);
    context.reply_bytes(address.as_bytes());
}
