//! `CACHE.GET key`

use corral_lease::ask::{Answer, State};
use corral_lease::time::UnixMs;

use super::ask::string;
use crate::redis::refusal::Refusal;
use crate::redis::stats::STATS;
use crate::redis::sys::command::{Access, Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::key::{Holds, OpenKey};
use crate::redis::sys::{context, Argv, Context};

pub struct Get;

impl Command for Get {
    const SPEC: Spec = Spec {
        name: c"CACHE.GET",
        flags: c"readonly fast",
        arity: 2,
        keys: Keys::One(Access::Read),
        summary: c"Answers with what there is; grants nothing, never blocks, never writes",
        complexity: c"O(1)",
        tips: c"",
        args: &[Arg::new(c"key", Kind::Key)],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
        let name = args.key(0)?;
        let mut key = OpenKey::read(context, name);
        let now = UnixMs::from_micros(context::command_us());
        let answer = match key.entry() {
            Some(entry) => entry.peek(now),
            None => match key.kind() {
                Holds::Nothing | Holds::Entry => Answer::Miss { lease_left_ms: 0 },
                Holds::String => string(context, name, key, now),
                Holds::Foreign => return Err(Refusal::WrongType),
            },
        };
        match answer.state() {
            State::Hit => STATS.hits.add(1),
            State::Stale => STATS.stale_hits.add(1),
            _ => STATS.misses.add(1),
        }
        context.reply_answer(&answer);
        Ok(())
    }
}
