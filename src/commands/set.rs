//! `CACHE.SET key value [EX s | PX ms | EXAT unix-s | PXAT unix-ms] [SWR ms] [SIE ms] [JITTER percent]`

use std::sync::Arc;

use super::freshness::{self, JITTER_ARG, SIE_ARG, SOFT_ARG, SWR_ARG};
use crate::redis::keyspace::{self, event, Over};
use crate::redis::refusal::Refusal;
use crate::redis::sys::command::{Access, Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::{context, Argv, Context};

pub struct Set;

impl Command for Set {
    const SPEC: Spec = Spec {
        name: c"CACHE.SET",
        flags: c"write deny-oom fast",
        arity: -3,
        keys: Keys::One(Access::Overwrite),
        summary: c"Stores a value over any type, voids any lease and wakes all waiters",
        complexity: c"O(1), and O(N) for the N waiters woken over the next turns of the event loop",
        tips: c"",
        args: &[Arg::new(c"key", Kind::Key), Arg::new(c"value", Kind::String), SOFT_ARG, SWR_ARG, SIE_ARG, JITTER_ARG],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
        let (name, value) = (args.key(0)?, args.word(1)?);
        let freshness = freshness::parse(args.from(2))?;
        keyspace::step(context, name, Over::Anything, Some(event::FILL), |key, _| {
            key.set(Arc::from(value), freshness.resolve(key.now, context::random))
        });
        context.reply_word(c"OK");
        Ok(())
    }
}
