//! `CACHE.PROBE key`: internal. Whether the server would let this key be written now: it refuses the call, with its own
//! error, where it would refuse a write.

use std::ffi::CStr;

use corral_core::error::Error;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::Access;
use corral_server::{Argv, Context};

use super::{error, KEY_ARG, SECOND};

pub const NAME: &CStr = c"CACHE.PROBE";

pub struct Probe;

impl Command for Probe {
    error!();

    const SPEC: Spec = Spec {
        name: NAME,
        flags: c"write deny-oom fast no-monitor no-slowlog",
        arity: 2,
        keys: Keys::One(Access::Update),
        acl: c"",
        summary: c"Internal: whether the server would let this key be written; changes nothing",
        complexity: c"O(1)",
        since: SECOND,
        tips: c"",
        args: || vec![KEY_ARG],
    };

    fn run(context: &Context, _args: Argv) -> Result<(), Error> {
        context.reply_word(c"OK");
        Ok(())
    }
}
