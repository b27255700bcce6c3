//! `CACHE.RELEASE key token`

use corral_core::error::Error;
use corral_core::request::Request;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::Access;
use corral_server::{Argv, Context};

use super::{error, holder, FIRST, KEY_ARG, TOKEN_ARG};

pub struct Release;

impl Command for Release {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.RELEASE",
        flags: holder::FLAGS,
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
        let (name, token) = holder::key_and_token(args)?;
        holder::speak(context, name, &Request::Release { token })
    }
}
