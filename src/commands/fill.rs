//! `CACHE.FILL key token value [EX s | PX ms | EXAT unix-s | PXAT unix-ms] [SWR ms] [SIE ms] [JITTER percent]
//! [TAGS n tag [tag ...]] [VERSION n]`

use corral_core::error::Error;
use corral_core::options;
use corral_core::request::{Labelled, Labels, Request};
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::Access;
use corral_server::{Argv, Context};

use super::{absent, error, holder, with_options, FIRST, KEY_ARG, TOKEN_ARG, VALUE_ARG};

pub struct Fill;

impl Command for Fill {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.FILL",
        flags: holder::FLAGS,
        arity: -4,
        keys: Keys::One(Access::Update),
        acl: c"",
        summary: c"Stores the rebuilt value, ends the lease and wakes all waiters, if the token is the current one",
        complexity: c"O(1), and O(N) for the N waiters woken over the next turns of the event loop",
        since: FIRST,
        tips: c"",
        args: || with_options(vec![KEY_ARG, TOKEN_ARG, VALUE_ARG], &options::LABELS),
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let (name, token) = holder::key_and_token(args)?;
        let value = args.word(2).map_err(absent)?;
        let labels = Labels::parse(args.from(3), Labelled::Fill)?;
        holder::speak(context, name, &Request::Fill { token, value, labels })
    }
}
