//! `CACHE.FAIL key token message [BACKOFF ms]`

use std::sync::Arc;

use corral_lease::codec::MESSAGE_LIMIT;

use super::args::{only_option, token};
use crate::redis::keyspace::{self, event, Over};
use crate::redis::refusal::Refusal;
use crate::redis::settings;
use crate::redis::stats::STATS;
use crate::redis::sys::command::{Access, Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::{Argv, Context};

pub struct Fail;

impl Command for Fail {
    const SPEC: Spec = Spec {
        name: c"CACHE.FAIL",
        flags: c"write fast",
        arity: -4,
        keys: Keys::One(Access::Update),
        summary:
            c"Says that the rebuild failed: callers get the old value or the message until the back-off has passed",
        complexity: c"O(1), and O(N) for the N waiters woken over the next turns of the event loop",
        tips: c"",
        args: &[
            Arg::new(c"key", Kind::Key),
            Arg::new(c"token", Kind::Integer),
            Arg::new(c"message", Kind::String),
            Arg::option(c"BACKOFF", c"milliseconds", Kind::Integer),
        ],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
        let (name, given, message) = (args.key(0)?, args.word(1)?, args.word(2)?);
        let token = token(given)?;
        if message.len() > MESSAGE_LIMIT {
            return Err(Refusal::TooLong { name: "message", limit: MESSAGE_LIMIT });
        }
        let backoff_ms = only_option(args.from(3), "BACKOFF", &settings::BACKOFF_MS)?;
        let told = keyspace::step(context, name, Over::Entries, Some(event::FAIL), |key, from| {
            key.fail(token, Arc::from(message), backoff_ms, from)
        });
        match told {
            Some(answer) => {
                STATS.failures.add(1);
                context.reply_answer(&answer);
            }
            None => context.reply_null(),
        }
        Ok(())
    }
}
