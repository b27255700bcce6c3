//! `CACHE.OUTDATE key version [PX ms]`

use corral_core::error::Error;
use corral_core::options;
use corral_core::request::{only_option, version, Request};
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::{Access, Arg, Kind};
use corral_server::{Argv, Context};

use super::{absent, error, with_options, KEY_ARG, SECOND};
use crate::{keyspace, reply};

pub struct Outdate;

impl Command for Outdate {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.OUTDATE",
        flags: c"write deny-oom fast",
        arity: -3,
        keys: Keys::One(Access::Update),
        acl: c"",
        summary: c"Says that the source has at least this version: older values are stale, and are not stored",
        complexity: c"O(1)",
        since: SECOND,
        tips: c"",
        args: || with_options(vec![KEY_ARG, Arg::new(c"version", Kind::Integer)], &options::OUTDATE),
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let name = args.key(0).map_err(absent)?;
        let version = version(args.word(1).map_err(absent)?)?;
        let floor_ms = only_option(args.from(2), &options::OUTDATE)?;
        let told = keyspace::step(context, name, &Request::Outdate { version, floor_ms });
        reply::reply(context, told, name)
    }
}
