//! `CACHE.FAIL key token message [BACKOFF ms]`

use corral_core::error::Error;
use corral_core::options;
use corral_core::request::{message, only_option, Request};
use corral_core::words::token;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::{Access, Arg, Kind};
use corral_server::{Argv, Context};

use super::fill::HOLDER_FLAGS;
use super::get_or_lock::read_only;
use super::{absent, error, with_options, FIRST, KEY_ARG, TOKEN_ARG};
use crate::{keyspace, reply};

pub struct Fail;

impl Command for Fail {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.FAIL",
        flags: HOLDER_FLAGS,
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
        let (name, given) = (args.key(0).map_err(absent)?, args.word(1).map_err(absent)?);
        let token = token(given)?;
        let message = message(args.word(2).map_err(absent)?)?;
        let backoff_ms = only_option(args.from(3), &options::FAIL)?;
        if !context.flags().is_master() {
            return Err(read_only(context, name));
        }
        let told = keyspace::step(context, name, &Request::Fail { token, message, backoff_ms });
        reply::reply(context, told, name)
    }
}
