//! `CACHE.TOUCH key token [EX s | PX ms | EXAT unix-s | PXAT unix-ms] [SWR ms] [SIE ms] [JITTER percent]
//! [TAGS n tag [tag ...]] [VERSION n]`

use corral_core::error::Error;
use corral_core::options;
use corral_core::request::{Labelled, Labels, Request};
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::Access;
use corral_server::{Argv, Context};

use super::{error, holder, with_options, FIRST, KEY_ARG, TOKEN_ARG};

pub struct Touch;

impl Command for Touch {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.TOUCH",
        flags: holder::FLAGS,
        arity: -3,
        keys: Keys::One(Access::Update),
        acl: c"",
        summary: c"Says that the old value is still good: renews its times, ends the lease and wakes all waiters",
        complexity: c"O(1), and O(N) for the N waiters woken over the next turns of the event loop",
        since: FIRST,
        tips: c"",
        args: || with_options(vec![KEY_ARG, TOKEN_ARG], &options::LABELS),
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let (name, token) = holder::key_and_token(args)?;
        let labels = Labels::parse(args.from(2), Labelled::Fill)?;
        holder::speak(context, name, &Request::Touch { token, labels })
    }
}
