//! `CACHE.FAULT place [PASSES count] [STRIKES count]`, in builds with the feature `faults`.

use corral_core::error::Error;
use corral_core::options::{CommandOption, Takes};
use corral_core::words::{Once, Words};
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::{Arg, Kind};
use corral_server::{faults, Argv, Context};

use super::{error, with_options, FIRST};

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
        args: || with_options(vec![Arg::new(c"place", Kind::String)], &OPTIONS),
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let mut words = Words::new(args.from(1), &OPTIONS);
        let (mut passes, mut strikes) = (Once::new(&PASSES), Once::new(&STRIKES));
        while let Some(word) = words.option() {
            if passes.is(word) {
                passes.set(words.number(&PASSES)?)?;
            } else if strikes.is(word) {
                strikes.set(words.number(&STRIKES)?)?;
            } else {
                return Err(words.unknown(word));
            }
        }
        context.reply_word(c"OK");
        faults::arm(args.get(0).unwrap_or_default(), passes.get().unwrap_or(0), strikes.get().unwrap_or(1));
        Ok(())
    }
}

const PASSES: CommandOption = CommandOption::new(c"PASSES", c"count", ANY);
const STRIKES: CommandOption = CommandOption::new(c"STRIKES", c"count", ANY);
static OPTIONS: [CommandOption; 2] = [PASSES, STRIKES];
const ANY: Takes = Takes::Number { least: 0, most: u64::MAX, unit: "" };
