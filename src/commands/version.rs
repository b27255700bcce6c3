//! `CACHE.VERSION`

use std::ffi::CStr;

use corral_core::error::Error;
use corral_core::request::OPTIONS;
use corral_server::command::{Command, Keys, Spec};
use corral_server::{Argv, Context};

use super::{error, FIELDS, SECOND};
use crate::{reply, resets};

pub const NAME: &CStr = c"CACHE.VERSION";

pub struct Version;

impl Command for Version {
    error!();

    const SPEC: Spec = Spec {
        name: NAME,
        flags: c"readonly fast allow-loading allow-stale",
        arity: 1,
        keys: Keys::None,
        acl: c"",
        summary: c"What this module is and can: so that a package can say that it is missing, or too old",
        complexity: c"O(1)",
        since: SECOND,
        tips: c"",
        args: Vec::new,
    };

    fn run(context: &Context, _args: Argv) -> Result<(), Error> {
        resets::mark_seen();
        if reply::say(context) {
            return Ok(());
        }
        let commands = || FIELDS.iter().filter_map(|field| field.to_bytes().strip_prefix(b"cmdstat_"));
        context.reply_map(3);
        context.reply_word(c"version");
        context.reply_bytes(env!("CARGO_PKG_VERSION").as_bytes());
        context.reply_word(c"commands");
        context.reply_array(commands().count());
        commands().for_each(|command| context.reply_bytes(command));
        context.reply_word(c"options");
        context.reply_array(OPTIONS.len());
        OPTIONS.iter().for_each(|option| context.reply_bytes(option.as_bytes()));
        Ok(())
    }
}
