//! `CACHE.FILL key token value [EX s | PX ms | EXAT unix-s | PXAT unix-ms] [SWR ms] [SIE ms] [JITTER percent]`

use std::sync::Arc;

use corral_lease::rebuild::{Filled, Memory};

use super::args::token;
use super::freshness::{self, JITTER_ARG, SIE_ARG, SOFT_ARG, SWR_ARG};
use crate::redis::keyspace::{self, event, Over};
use crate::redis::refusal::Refusal;
use crate::redis::stats::STATS;
use crate::redis::sys::command::{Access, Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::{context, Argv, Context};

pub struct Fill;

impl Command for Fill {
    const SPEC: Spec = Spec {
        name: c"CACHE.FILL",
        // No deny-oom: when memory is full the waiters are to have the value all the same.
        flags: c"write fast",
        arity: -4,
        keys: Keys::One(Access::Update),
        summary: c"Stores the rebuilt value, ends the lease and wakes all waiters, if the token is the current one",
        complexity: c"O(1), and O(N) for the N waiters woken over the next turns of the event loop",
        tips: c"",
        args: &[
            Arg::new(c"key", Kind::Key),
            Arg::new(c"token", Kind::Integer),
            Arg::new(c"value", Kind::String),
            SOFT_ARG,
            SWR_ARG,
            SIE_ARG,
            JITTER_ARG,
        ],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
        let (name, given, value) = (args.key(0)?, args.word(1)?, args.word(2)?);
        let token = token(given)?;
        let freshness = freshness::parse(args.from(3))?;
        let full = context.flags().is_over_memory() && context.is_out_of_memory(name);
        let memory = if full { Memory::Full } else { Memory::Free };
        let filled = keyspace::step(context, name, Over::Entries, Some(event::FILL), |key, _| {
            key.fill(token, Arc::from(value), freshness.resolve(key.now, context::random), memory)
        });
        match filled {
            Filled::Stored => {
                STATS.fills.add(1);
                context.reply_word(c"OK");
            }
            Filled::Void => {
                STATS.void_fills.add(1);
                context.reply_null();
            }
            Filled::OutOfMemory => return Err(Refusal::OutOfMemory),
        }
        Ok(())
    }
}
