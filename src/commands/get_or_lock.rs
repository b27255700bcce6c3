//! `CACHE.GETORLOCK key [LEASE ms] [BLOCK ms] [NOSTALE] [FORCE] [EARLY beta] [TIED]`

use corral_lease::ask::{or_never, Answer, State};
use corral_lease::entry::Entry;
use corral_lease::key::Asked;
use corral_lease::time::UnixMs;

use super::ask::{look, Call, Look, EARLY_ARG, FORCE_ARG, LEASE_ARG, NOSTALE_ARG, TIED_ARG};
use crate::redis::parking;
use crate::redis::refusal::Refusal;
use crate::redis::sys::command::{Access, Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::{context, Argv, Context};
use crate::redis::waiting::Wish;

pub struct GetOrLock;

impl Command for GetOrLock {
    const SPEC: Spec = Spec {
        name: c"CACHE.GETORLOCK",
        // No deny-oom: a hit must work when memory is full.
        flags: c"write blocking fast",
        arity: -2,
        keys: Keys::One(Access::Update),
        summary:
            c"Answers with the value, with a lease to rebuild it, or with a signal to wait or to use the old value",
        complexity: c"O(1)",
        tips: c"",
        args: &[
            Arg::new(c"key", Kind::Key),
            LEASE_ARG,
            Arg::option(c"BLOCK", c"milliseconds", Kind::Integer),
            NOSTALE_ARG,
            FORCE_ARG,
            EARLY_ARG,
            TIED_ARG,
        ],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
        let name = args.key(0)?;
        let Call { ask, block_ms } = if args.len() == 1 { Call::plain() } else { Call::parse(args.from(1), true)? };
        let reply_hit = |entry: &Entry, stale_in_ms: Option<u64>| {
            context.reply_triple(State::Hit, entry.value().map(|value| &**value), or_never(stale_in_ms));
        };
        let now_us = context::command_us();
        let now = UnixMs::from_micros(now_us);
        match look(context, now_us, name, &ask, reply_hit)? {
            Look::Hit(()) => {}
            Look::Asked(Asked::Answer(answer)) => context.reply_answer(&answer),
            Look::Asked(Asked::Behind { token, deadline }) => {
                let parked = block_ms.is_some_and(|block_ms| {
                    let gives_up = if block_ms == 0 { UnixMs::NEVER } else { now.plus(block_ms) };
                    parking::park(
                        context,
                        name,
                        &Wish { token, deadline, ask, now, gives_up, since_us: context::monotonic_us() },
                    )
                });
                if !parked {
                    context.reply_answer(&Answer::Wait { lease_left_ms: now.until(deadline) });
                }
            }
        }
        Ok(())
    }
}
