//! `CACHE.RELEASE key token`

use corral_lease::key::LeaseEnd;

use super::args::token;
use crate::redis::keyspace::{self, Over};
use crate::redis::refusal::Refusal;
use crate::redis::sys::command::{Access, Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::{Argv, Context};

pub struct Release;

impl Command for Release {
    const SPEC: Spec = Spec {
        name: c"CACHE.RELEASE",
        flags: c"write fast",
        arity: 3,
        keys: Keys::One(Access::Update),
        summary: c"Gives the lease up without a verdict: the first waiter is granted it at once",
        complexity: c"O(1)",
        tips: c"",
        args: &[Arg::new(c"key", Kind::Key), Arg::new(c"token", Kind::Integer)],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
        let (name, given) = (args.key(0)?, args.word(1)?);
        let token = token(given)?;
        let held =
            keyspace::step(context, name, Over::Entries, None, |key, from| key.end(token, LeaseEnd::Released, from));
        context.reply_number(i64::from(held));
        Ok(())
    }
}
