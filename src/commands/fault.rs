//! `CACHE.FAULT place [PASSES count] [STRIKES count]`, in builds with the feature `faults`.

use corral_core::error::Error;
use corral_core::words::{Once, Words};
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::{Arg, Kind};
use corral_server::{faults, Argv, Context};

use super::{error, FIRST};

pub struct Fault;

impl Command for Fault {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.FAULT",
        flags: c"admin",
        arity: -2,
        keys: Keys::None,
        acl: c"",
        summary: c"Has the guarded function of this name panic, once, or as often as STRIKES says, after PASSES calls",
        complexity: c"O(1)",
        since: FIRST,
        tips: c"",
        args: &[
            Arg::new(c"place", Kind::String),
            Arg::option(c"PASSES", c"count", Kind::Integer),
            Arg::option(c"STRIKES", c"count", Kind::Integer),
        ],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let mut words = Words::new(args.from(1), "PASSES, STRIKES");
        let (mut passes, mut strikes) = (Once::new("PASSES"), Once::new("STRIKES"));
        while let Some(word) = words.option() {
            if passes.is(word) {
                passes.set(words.number("PASSES", 0..=u64::MAX, "")?)?;
            } else if strikes.is(word) {
                strikes.set(words.number("STRIKES", 0..=u64::MAX, "")?)?;
            } else {
                return Err(words.unknown(word));
            }
        }
        context.reply_word(c"OK");
        faults::arm(args.get(0).unwrap_or_default(), passes.get().unwrap_or(0), strikes.get().unwrap_or(1));
        Ok(())
    }
}
