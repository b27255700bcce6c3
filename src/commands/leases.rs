//! `CACHE.LEASES [COUNT n] [MINAGE ms]`

use corral_lease::time::{UnixMs, MAX_MS};

use super::args::{Once, Words, MS};
use super::info::{holder, token_and_times};
use crate::redis::ledger::Line;
use crate::redis::refusal::Refusal;
use crate::redis::sys::command::{Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::key::OpenKey;
use crate::redis::sys::{context, Argv, Context};
use crate::redis::{resets, state};

pub struct Leases;

impl Command for Leases {
    const SPEC: Spec = Spec {
        name: resets::MARK,
        flags: c"readonly",
        arity: -1,
        keys: Keys::None,
        summary: c"The live leases on this node, longest held first: to find stuck or contended rebuilds",
        complexity: c"O(N log N) where N is the number of live leases",
        tips: c"nondeterministic_output request_policy:all_nodes response_policy:special",
        args: &[Arg::option(c"COUNT", c"count", Kind::Integer), Arg::option(c"MINAGE", c"milliseconds", Kind::Integer)],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
        resets::mark_seen();
        let wanted = Wanted::parse(args.from(0))?;
        let now = UnixMs::new(context::now_ms());
        let mut lines: Vec<Line> = state::with(|state| state.ledger.lines().cloned().collect());
        lines.retain(|line| line.lease.granted_at.until(now) >= wanted.min_age_ms);
        lines.sort_by_key(|line| (line.lease.granted_at, line.lease.token));
        let home = context.db();
        let mut live: Vec<Line> = Vec::new();
        for line in lines {
            if live.len() >= wanted.count {
                break;
            }
            live.extend(look(context, line, now));
        }
        context.select(home);
        context.reply_array(live.len());
        for line in &live {
            describe(context, line, now);
        }
        Ok(())
    }
}

/// What was asked for.
#[derive(Debug)]
pub struct Wanted {
    count: usize,
    min_age_ms: u64,
}

impl Wanted {
    pub fn parse<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Self, Refusal> {
        let mut words = Words::new(words, "COUNT, MINAGE");
        let (mut count, mut min_age) = (Once::new("COUNT"), Once::new("MINAGE"));
        while let Some(word) = words.option() {
            if count.is(word) {
                count.set(words.number("COUNT", 1..=u64::from(u32::MAX), "")?)?;
            } else if min_age.is(word) {
                min_age.set(words.number("MINAGE", 0..=MAX_MS, MS)?)?;
            } else {
                return Err(words.unknown(word));
            }
        }
        let count = count.get().map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        Ok(Self { count, min_age_ms: min_age.get().unwrap_or(0) })
    }
}

/// The line as its key has it by now; `None` if the lease is not there any more.
fn look(context: &Context, mut line: Line, now: UnixMs) -> Option<Line> {
    if !context.select(line.place.db) {
        return None;
    }
    let name = context.string(&line.place.key);
    let mut key = OpenKey::read(context, name.as_key());
    let lease = *key.entry()?.live_lease(now).filter(|lease| lease.token == line.lease.token)?;
    line.lease = lease;
    Some(line)
}

fn describe(context: &Context, line: &Line, now: UnixMs) {
    let waiters = state::with(|state| state.waiting.len_at(line.place.db, &line.place.key));
    context.reply_map(7);
    context.reply_word(c"key");
    context.reply_bytes(&line.place.key);
    context.reply_word(c"db");
    context.reply_count(u64::from(line.place.db));
    token_and_times(context, &line.lease, now);
    context.reply_word(c"waiters");
    context.reply_count(waiters as u64);
    context.reply_word(c"holder");
    holder(context, Some(line));
}
