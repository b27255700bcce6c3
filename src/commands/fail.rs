//! `CACHE.FAIL key token message [BACKOFF ms]`

use corral_core::error::Error;
use corral_core::options;
use corral_core::request::{message, only_option, Request};
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::{Access, Arg, Kind};
use corral_server::{Argv, Context};

use super::{absent, error, holder, with_options, FIRST, KEY_ARG, TOKEN_ARG};

pub struct Fail;

impl Command for Fail {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.FAIL",
        flags: holder::FLAGS,
        arity: -4,
        keys: Keys::One(Access::Update),
        acl: c"",
        summary:
            c"Says that the rebuild failed: callers get the old value or the message until the back-off has passed",
        complexity: c"O(1), and O(N) for the N waiters woken over the next turns of the event loop",
        since: FIRST,
        tips: c"",
        args: || with_options(vec![KEY_ARG, TOKEN_ARG, Arg::new(c"message", Kind::String)], &options::FAIL),
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let (name, token) = holder::key_and_token(args)?;
        let message = message(args.word(2).map_err(absent)?)?;
        let backoff_ms = only_option(args.from(3), &options::FAIL)?;
        holder::speak(context, name, &Request::Fail { token, message, backoff_ms })
    }
}
