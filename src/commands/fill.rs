//! `CACHE.FILL key token value [EX s | PX ms | EXAT unix-s | PXAT unix-ms] [SWR ms] [SIE ms] [JITTER percent]
//! [TAGS n tag [tag ...]] [VERSION n]`

use corral_core::error::Error;
use corral_core::options;
use corral_core::request::{Labelled, Labels, Request};
use corral_core::words::token;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::Access;
use corral_server::{Argv, Context};

use super::get_or_lock::read_only;
use super::{absent, error, with_options, FIRST, KEY_ARG, TOKEN_ARG, VALUE_ARG};
use crate::{keyspace, reply};

pub struct Fill;

/// Of what a holder says: held back by a pause, but not refused by the server where its waiters could still be told.
pub const HOLDER_FLAGS: &std::ffi::CStr = c"may-replicate fast";

impl Command for Fill {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.FILL",
        flags: HOLDER_FLAGS,
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
        let (name, given, value) = (args.key(0).map_err(absent)?, args.word(1), args.word(2));
        let token = token(given.map_err(absent)?)?;
        let value = value.map_err(absent)?;
        let labels = Labels::parse(args.from(3), Labelled::Fill)?;
        if !context.flags().is_master() {
            return Err(read_only(context, name));
        }
        let told = keyspace::step(context, name, &Request::Fill { token, value, labels });
        reply::reply(context, told, name)
    }
}
