//! `CACHE.TOUCH key token [EX s | PX ms | EXAT unix-s | PXAT unix-ms] [SWR ms] [SIE ms] [JITTER percent]`

use super::args::token;
use super::freshness::{self, JITTER_ARG, SIE_ARG, SOFT_ARG, SWR_ARG};
use crate::redis::keyspace::{self, event, Over};
use crate::redis::refusal::Refusal;
use crate::redis::stats::STATS;
use crate::redis::sys::command::{Access, Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::{context, Argv, Context};

pub struct Touch;

impl Command for Touch {
    const SPEC: Spec = Spec {
        name: c"CACHE.TOUCH",
        flags: c"write fast",
        arity: -3,
        keys: Keys::One(Access::Update),
        summary: c"Says that the old value is still good: renews its times, ends the lease and wakes all waiters",
        complexity: c"O(1), and O(N) for the N waiters woken over the next turns of the event loop",
        tips: c"",
        args: &[Arg::new(c"key", Kind::Key), Arg::new(c"token", Kind::Integer), SOFT_ARG, SWR_ARG, SIE_ARG, JITTER_ARG],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
        let (name, given) = (args.key(0)?, args.word(1)?);
        let token = token(given)?;
        let freshness = freshness::parse(args.from(2))?;
        let touched = keyspace::step(context, name, Over::Entries, Some(event::FILL), |key, from| {
            key.touch(token, freshness.resolve(key.now, context::random), from)
        });
        match touched {
            true => {
                STATS.fills.add(1);
                context.reply_word(c"OK");
            }
            false => context.reply_null(),
        }
        Ok(())
    }
}
