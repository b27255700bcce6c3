//! `CACHE.FAULT place [PASSES count] [STRIKES count]`, in builds with the feature `faults`.

use super::args::{Once, Words};
use crate::redis::faults;
use crate::redis::refusal::Refusal;
use crate::redis::sys::command::{Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::{Argv, Context};

pub struct Fault;

impl Command for Fault {
    const SPEC: Spec = Spec {
        name: c"CACHE.FAULT",
        flags: c"admin",
        arity: -2,
        keys: Keys::None,
        summary: c"Has the guarded function of this name panic, once, or as often as STRIKES says, after PASSES calls",
        complexity: c"O(1)",
        tips: c"",
        args: &[
            Arg::new(c"place", Kind::String),
            Arg::option(c"PASSES", c"count", Kind::Integer),
            Arg::option(c"STRIKES", c"count", Kind::Integer),
        ],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
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
