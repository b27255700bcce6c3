//! `CACHE.RENEW key token ms`

use corral_lease::time::MAX_MS;

use super::args::{number, token, MS};
use crate::redis::keyspace::{self, Over};
use crate::redis::refusal::Refusal;
use crate::redis::settings;
use crate::redis::sys::command::{Access, Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::{Argv, Context};

pub struct Renew;

impl Command for Renew {
    const SPEC: Spec = Spec {
        name: c"CACHE.RENEW",
        flags: c"write fast",
        arity: 4,
        keys: Keys::One(Access::Update),
        summary: c"Moves the lease's deadline to so many milliseconds from now, within the longest lease allowed",
        complexity: c"O(1)",
        tips: c"",
        args: &[
            Arg::new(c"key", Kind::Key),
            Arg::new(c"token", Kind::Integer),
            Arg::new(c"milliseconds", Kind::Integer),
        ],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
        let (name, given, ms) = (args.key(0)?, args.word(1)?, args.word(2)?);
        let token = token(given)?;
        let lease_max_ms = settings::LEASE_MAX_MS.get();
        let ms = number(ms, "ms", 1..=MAX_MS, MS)?;
        let left_ms = keyspace::step(context, name, Over::Entries, None, |key, _| key.renew(token, ms, lease_max_ms));
        match left_ms {
            Some(left_ms) => context.reply_count(left_ms),
            None => context.reply_null(),
        }
        Ok(())
    }
}
