//! `CACHE.SET key value [EX s | PX ms | EXAT unix-s | PXAT unix-ms] [SWR ms] [SIE ms] [JITTER percent]
//! [TAGS n tag [tag ...]] [VERSION n] [NX]`

use corral_core::error::Error;
use corral_core::options;
use corral_core::request::{Labelled, Labels, Request};
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::Access;
use corral_server::{Argv, Context};

use super::{absent, error, with_options, FIRST, KEY_ARG, VALUE_ARG};
use crate::{keyspace, reply};

pub struct Set;

impl Command for Set {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.SET",
        flags: c"write deny-oom fast",
        arity: -3,
        keys: Keys::One(Access::Overwrite),
        acl: c"",
        summary: c"Stores a value over any type, voids any lease and wakes all waiters",
        complexity: c"O(1), and O(N) for the N waiters woken over the next turns of the event loop",
        since: FIRST,
        tips: c"",
        args: || with_options(vec![KEY_ARG, VALUE_ARG], &options::SET),
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let (name, value) = (args.key(0).map_err(absent)?, args.word(1).map_err(absent)?);
        let labels = Labels::parse(args.from(2), Labelled::Set)?;
        // NX answers with what is there: who may only write is not told.
        let user = if labels.only_if_absent { context.user_name() } else { None };
        if user.is_some_and(|user| context.is_permitted(&user, super::get::NAME, name) == Some(false)) {
            return Err(Error::NoPermission);
        }
        let told = keyspace::step(context, name, &Request::Set { value, labels });
        reply::reply(context, told, name)
    }
}
