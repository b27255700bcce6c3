//! `CACHE.PASS key token [PX ms]`

use corral_core::error::Error;
use corral_core::options;
use corral_core::request::{only_option, Request};
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::Access;
use corral_server::{Argv, Context};

use super::{error, holder, with_options, FIRST, KEY_ARG, TOKEN_ARG};

pub struct Pass;

impl Command for Pass {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.PASS",
        flags: holder::FLAGS,
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
        let (name, token) = holder::key_and_token(args)?;
        let pass_ms = only_option(args.from(2), &options::PASS)?;
        holder::speak(context, name, &Request::Pass { token, pass_ms })
    }
}
