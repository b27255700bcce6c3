//! `CACHE.MGETORLOCK numkeys key [key ...] [LEASE ms] [NOSTALE] [FORCE] [EARLY beta] [TIED]`

use corral_lease::ask::Answer;
use corral_lease::decision::Decision;
use corral_lease::entry::Entry;
use corral_lease::key::Asked;
use corral_lease::time::UnixMs;

use super::args::number;
use super::ask::{look, Call, Look, EARLY_ARG, FORCE_ARG, LEASE_ARG, NOSTALE_ARG, TIED_ARG};
use crate::redis::refusal::Refusal;
use crate::redis::sys::command::{Access, Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::key::{Holds, OpenKey};
use crate::redis::sys::{context, Argv, Context};

pub struct MGetOrLock;

impl Command for MGetOrLock {
    const SPEC: Spec = Spec {
        name: c"CACHE.MGETORLOCK",
        flags: c"write fast getkeys-api",
        arity: -3,
        keys: Keys::Counted(Access::Update),
        summary: c"GETORLOCK for many keys at once, each decided and leased on its own; never blocks",
        complexity: c"O(N) where N is the number of keys",
        tips: c"",
        args: &[
            Arg::new(c"numkeys", Kind::Integer),
            Arg::many(c"key", Kind::Key),
            LEASE_ARG,
            NOSTALE_ARG,
            FORCE_ARG,
            EARLY_ARG,
            TIED_ARG,
        ],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
        let given = number(args.word(0)?, "numkeys", 1..=i32::MAX as u64, "")?;
        let found = args.len() - 1;
        let count = usize::try_from(given).unwrap_or(usize::MAX);
        if count > found {
            return Err(Refusal::KeyCount { given, found });
        }
        let Call { ask, .. } = Call::parse(args.from(1 + count), false)?;
        let names = || (1..=count).filter_map(|index| args.key(index).ok());
        // A foreign type anywhere refuses the whole call, before any lease is granted.
        for name in names() {
            if OpenKey::read(context, name).kind() == Holds::Foreign {
                return Err(Refusal::WrongType);
            }
        }
        let now_us = context::command_us();
        let now = UnixMs::from_micros(now_us);
        let answers: Result<Vec<Answer>, Refusal> = names()
            .map(|name| {
                let hit = |entry: &Entry, stale_in_ms| entry.answer(Decision::Hit { stale_in_ms }, now);
                Ok(match look(context, now_us, name, &ask, hit)? {
                    Look::Hit(answer) | Look::Asked(Asked::Answer(answer)) => answer,
                    Look::Asked(Asked::Behind { deadline, .. }) => Answer::Wait { lease_left_ms: now.until(deadline) },
                })
            })
            .collect();
        let answers = answers?;
        context.reply_array(answers.len());
        for answer in &answers {
            context.reply_answer(answer);
        }
        Ok(())
    }
}
