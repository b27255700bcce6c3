//! `CACHE.PASS key token [PX ms]`

use corral_core::error::Error;
use corral_core::options;
use corral_core::request::{only_option, Request};
use corral_core::words::token;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::Access;
use corral_server::{Argv, Context};

use super::fill::HOLDER_FLAGS;
use super::get_or_lock::read_only;
use super::{absent, error, with_options, FIRST, KEY_ARG, TOKEN_ARG};
use crate::{keyspace, reply};

pub struct Pass;

impl Command for Pass {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.PASS",
        flags: HOLDER_FLAGS,
        arity: -3,
        keys: Keys::One(Access::Update),
        acl: c"",
        summary: c"Says that the result must not be shared: for a while every caller builds for itself",
        complexity: c"O(1), and O(N) for the N waiters woken over the next turns of the event loop",
        since: FIRST,
        tips: c"",
        args: || with_options(vec![KEY_ARG, TOKEN_ARG], &options::PASS),
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let (name, given) = (args.key(0).map_err(absent)?, args.word(1).map_err(absent)?);
        let token = token(given)?;
        let pass_ms = only_option(args.from(2), &options::PASS)?;
        if !context.flags().is_master() {
            return Err(read_only(context, name));
        }
        let told = keyspace::step(context, name, &Request::Pass { token, pass_ms });
        reply::reply(context, told, name)
    }
}
