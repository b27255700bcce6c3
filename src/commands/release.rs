//! `CACHE.RELEASE key token`

use corral_core::error::Error;
use corral_core::request::Request;
use corral_core::words::token;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::Access;
use corral_server::{Argv, Context};

use super::fill::HOLDER_FLAGS;
use super::get_or_lock::read_only;
use super::{absent, error, FIRST, KEY_ARG, TOKEN_ARG};
use crate::{keyspace, reply};

pub struct Release;

impl Command for Release {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.RELEASE",
        flags: HOLDER_FLAGS,
        arity: 3,
        keys: Keys::One(Access::Update),
        acl: c"",
        summary: c"Gives the lease up without a verdict: the first waiter is granted it at once",
        complexity: c"O(1)",
        since: FIRST,
        tips: c"",
        args: || vec![KEY_ARG, TOKEN_ARG],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let (name, given) = (args.key(0).map_err(absent)?, args.word(1).map_err(absent)?);
        let token = token(given)?;
        if !context.flags().is_master() {
            return Err(read_only(context, name));
        }
        let told = keyspace::step(context, name, &Request::Release { token });
        reply::reply(context, told, name)
    }
}
