//! `CACHE.INFO key`

use corral_lease::entry::Entry;
use corral_lease::time::UnixMs;

use crate::redis::ledger::Line;
use crate::redis::refusal::Refusal;
use crate::redis::state;
use crate::redis::sys::command::{Access, Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::key::{Kind as Holds, OpenKey};
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
        let Some(name) = args.key(0) else { return Ok(()) };
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
            Holds::Text => {
                let deadline = key.deadline(now);
                let text = key.text().unwrap_or_default();
                let times = corral_lease::freshness::Times { fresh_until: deadline, windows: Default::default() };
                let entry = Entry::of_value(text.into(), times);
                describe(context, &entry, None, waiters, now);
            }
            Holds::Foreign => return Err(Refusal::WrongType),
        }
        Ok(())
    }
}

fn describe(context: &Context, entry: &Entry, line: Option<&Line>, waiters: usize, now: UnixMs) {
    let number = |ms: u64| context.reply_number(i64::try_from(ms).unwrap_or(i64::MAX));
    let windows = entry.windows();
    context.reply_map(11);
    context.reply_word(c"state");
    context.reply_word(entry.peek(now).state().word());
    context.reply_word(c"value-bytes");
    number(entry.value().map_or(0, |value| value.len() as u64));
    context.reply_word(c"fresh-ms");
    match entry.stale_in_ms(now).filter(|_| entry.value().is_some()) {
        Some(ms) => number(ms),
        None => context.reply_number(if entry.value().is_some() { -1 } else { 0 }),
    }
    context.reply_word(c"swr-ms");
    number(windows.swr_ms);
    context.reply_word(c"sie-ms");
    number(windows.sie_ms);
    context.reply_word(c"build-ms");
    number(u64::from(entry.build_ms()));
    context.reply_word(c"fills");
    number(u64::from(entry.fills()));
    context.reply_word(c"lease");
    match entry.live_lease(now) {
        None => context.reply_null(),
        Some(lease) => {
            context.reply_map(5);
            context.reply_word(c"token");
            number(lease.token.get());
            context.reply_word(c"age-ms");
            number(lease.granted_at.until(now));
            context.reply_word(c"left-ms");
            number(now.until(lease.deadline));
            context.reply_word(c"tied");
            number(u64::from(lease.tied));
            context.reply_word(c"holder");
            holder(context, line.filter(|line| line.lease.token == lease.token));
        }
    }
    context.reply_word(c"waiters");
    number(waiters as u64);
    context.reply_word(c"last-failure");
    match entry.failure() {
        Some(failure) => context.reply_bytes(&failure.message),
        None => context.reply_null(),
    }
    context.reply_word(c"backoff-ms");
    number(entry.backing_off(now).map_or(0, |failure| now.until(failure.until)));
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
    context.reply_number(i64::try_from(id).unwrap_or(i64::MAX));
    context.reply_word(c"name");
    context.reply_bytes(&name);
    context.reply_word(c"addr");
    context.reply_bytes(address.as_bytes());
}
