//! `CACHE.PASS key token [PX ms]`

use super::args::{only_option, token};
use crate::redis::keyspace::{self, event, Over};
use crate::redis::refusal::Refusal;
use crate::redis::settings;
use crate::redis::stats::STATS;
use crate::redis::sys::command::{Access, Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::{Argv, Context};

pub struct Pass;

impl Command for Pass {
    const SPEC: Spec = Spec {
        name: c"CACHE.PASS",
        flags: c"write fast",
        arity: -3,
        keys: Keys::One(Access::Update),
        summary: c"Says that the result must not be shared: for a while every caller builds for itself",
        complexity: c"O(1), and O(N) for the N waiters woken over the next turns of the event loop",
        tips: c"",
        args: &[
            Arg::new(c"key", Kind::Key),
            Arg::new(c"token", Kind::Integer),
            Arg::option(c"PX", c"milliseconds", Kind::Integer),
        ],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
        let (name, given) = (args.key(0)?, args.word(1)?);
        let token = token(given)?;
        let pass_ms = only_option(args.from(2), "PX", &settings::PASS_MS)?;
        let held =
            keyspace::step(context, name, Over::Entries, Some(event::PASS), |key, from| key.pass(token, pass_ms, from));
        match held {
            true => {
                STATS.passes.add(1);
                context.reply_word(c"OK");
            }
            false => context.reply_null(),
        }
        Ok(())
    }
}
