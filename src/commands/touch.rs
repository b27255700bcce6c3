//! `CACHE.TOUCH key token [EX s | PX ms | EXAT unix-s | PXAT unix-ms] [SWR ms] [SIE ms] [JITTER percent]
//! [TAGS n tag [tag ...]] [VERSION n]`

use corral_core::error::Error;
use corral_core::options;
use corral_core::request::{Labelled, Labels, Request};
use corral_core::words::token;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::Access;
use corral_server::{Argv, Context};

use super::fill::HOLDER_FLAGS;
use super::get_or_lock::read_only;
use super::{absent, error, with_options, FIRST, KEY_ARG, TOKEN_ARG};
use crate::{keyspace, reply};

pub struct Touch;

impl Command for Touch {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.TOUCH",
        flags: HOLDER_FLAGS,
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
        let (name, given) = (args.key(0).map_err(absent)?, args.word(1).map_err(absent)?);
        let token = token(given)?;
        let labels = Labels::parse(args.from(2), Labelled::Fill)?;
        if !context.flags().is_master() {
            return Err(read_only(context, name));
        }
        let told = keyspace::step(context, name, &Request::Touch { token, labels });
        reply::reply(context, told, name)
    }
}
