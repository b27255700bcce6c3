//! `CACHE.INFO key`

use corral_lease::ask::or_never;
use corral_lease::entry::{Entry, Lease};
use corral_lease::freshness::{Times, Windows};
use corral_lease::time::UnixMs;

use crate::redis::ledger::Line;
use crate::redis::refusal::Refusal;
use crate::redis::state;
use crate::redis::sys::command::{Access, Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::key::{Holds, OpenKey};
use crate::redis::sys::{context, Argv, Context};

pub struct Info;

impl Command for Info {
    const SPEC: Spec = Spec {
        name: c"CACHE.INFO",
        flags: c"readonly fast",
        arity: 2,
        keys: Keys::One(Access::Read),
        summary: c"Describes what a key holds: its times, its lease and holder, who waits, how the last rebuild went",
        complexity: c"O(1)",
        tips: c"nondeterministic_output",
        args: &[Arg::new(c"key", Kind::Key)],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
        let name = args.key(0)?;
        let db = context.db();
        let now = UnixMs::new(context::now_ms());
        let waiters = state::with(|state| state.waiting.len_at(db, name.bytes()));
        let mut key = OpenKey::read(context, name);
        if let Some(entry) = key.entry() {
            let line = state::with(|state| state.ledger.line(db, name.bytes()).cloned());
            describe(context, entry, line.as_ref(), waiters, now);
            return Ok(());
        }
        match key.kind() {
            Holds::Nothing | Holds::Entry => context.reply_null(),
            // An ordinary string is a value that was never built here.
            Holds::String => {
                let times = Times { fresh_until: key.deadline(now), windows: Windows::default() };
                drop(key);
                let value = context.string_at(name).unwrap_or_default();
                let entry = Entry::of_value(value.into(), times);
                describe(context, &entry, None, waiters, now);
            }
            Holds::Foreign => return Err(Refusal::WrongType),
        }
        Ok(())
    }
}

fn describe(context: &Context, entry: &Entry, line: Option<&Line>, waiters: usize, now: UnixMs) {
    let windows = entry.windows();
    context.reply_map(11);
    context.reply_word(c"state");
    context.reply_word(entry.peek(now).state().word());
    context.reply_word(c"value-bytes");
    context.reply_count(entry.value().map_or(0, |value| value.len() as u64));
    context.reply_word(c"fresh-ms");
    context.reply_number(entry.value().map_or(0, |_| or_never(entry.stale_in_ms(now))));
    context.reply_word(c"swr-ms");
    context.reply_count(windows.swr_ms);
    context.reply_word(c"sie-ms");
    context.reply_count(windows.sie_ms);
    context.reply_word(c"build-ms");
    context.reply_count(u64::from(entry.build_ms()));
    context.reply_word(c"fills");
    context.reply_count(u64::from(entry.fills()));
    context.reply_word(c"lease");
    match entry.live_lease(now) {
        None => context.reply_null(),
        Some(lease) => {
            context.reply_map(5);
            token_and_times(context, lease, now);
            context.reply_word(c"tied");
            context.reply_count(u64::from(lease.tied));
            context.reply_word(c"holder");
            holder(context, line.filter(|line| line.lease.token == lease.token));
        }
    }
    context.reply_word(c"waiters");
    context.reply_count(waiters as u64);
    context.reply_word(c"last-failure");
    match entry.failure() {
        Some(failure) => context.reply_bytes(&failure.message),
        None => context.reply_null(),
    }
    context.reply_word(c"backoff-ms");
    context.reply_count(entry.backing_off(now).map_or(0, |failure| now.until(failure.until)));
}

/// Three pairs of a map: a lease's token, its age and the ms left.
pub fn token_and_times(context: &Context, lease: &Lease, now: UnixMs) {
    context.reply_word(c"token");
    context.reply_count(lease.token.get());
    context.reply_word(c"age-ms");
    context.reply_count(lease.granted_at.until(now));
    context.reply_word(c"left-ms");
    context.reply_count(now.until(lease.deadline));
}

/// The holder as known on this node: client id, name and address; nil if it is another node's client.
pub fn holder(context: &Context, line: Option<&Line>) {
    let Some(id) = line.and_then(|line| line.client_id) else {
        context.reply_null();
        return;
    };
    let name = context.client_name(id).unwrap_or_default();
    let address = context::client_address(id).unwrap_or_default();
    context.reply_map(3);
    context.reply_word(c"id");
    context.reply_count(id);
    context.reply_word(c"name");
    context.reply_bytes(&name);
    context.reply_word(c"addr");
    context.reply_bytes(address.as_bytes());
}
