//! `CACHE.RENEW key token ms [TIED]`

use corral_core::error::Error;
use corral_core::options::{self, MS};
use corral_core::request::{only_flag, Request};
use corral_core::time::MAX_MS;
use corral_core::words::number;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::{Access, Arg, Kind};
use corral_server::{Argv, Context};

use super::get_or_lock::caller;
use super::{absent, error, holder, with_options, FIRST, KEY_ARG, TOKEN_ARG};
use crate::{keyspace, reply};

pub struct Renew;

impl Command for Renew {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.RENEW",
        // Refused where writes are: it changes nothing that somebody waits for.
        flags: c"write fast",
        arity: -4,
        keys: Keys::One(Access::Update),
        acl: c"",
        summary: c"Moves the lease's deadline to so many milliseconds from now, within the longest lease allowed",
        complexity: c"O(1)",
        since: FIRST,
        tips: c"",
        args: || with_options(vec![KEY_ARG, TOKEN_ARG, Arg::new(c"milliseconds", Kind::Integer)], &options::RENEW),
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let (name, token) = holder::key_and_token(args)?;
        let ms = number(args.word(2).map_err(absent)?, "ms", 1..=MAX_MS, MS)?;
        let is_tied = only_flag(args.from(3), &options::RENEW)?;
        let caller = caller(context);
        let told = keyspace::step(context, name, &Request::Renew { token, ms, caller, is_tied });
        reply::reply(context, told, name)
    }
}
