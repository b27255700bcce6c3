//! `CACHE.INVALIDATE key [key ...]`

use corral_core::error::Error;
use corral_core::node::Reply;
use corral_core::request::Request;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::{Access, Arg, Kind};
use corral_server::{Argv, Context};

use super::{error, FIRST};
use crate::keyspace;

pub struct Invalidate;

impl Command for Invalidate {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.INVALIDATE",
        flags: c"write fast",
        arity: -2,
        keys: Keys::All(Access::Update),
        acl: c"",
        summary: c"Soft purge: the values are stale from now on, the leases void",
        complexity: c"O(N) where N is the number of keys",
        since: FIRST,
        tips: c"request_policy:multi_shard response_policy:agg_sum",
        args: || vec![Arg::many(c"key", Kind::Key)],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let names = (0..args.len()).filter_map(|index| args.key(index).ok());
        let mut held = 0;
        for name in names {
            match keyspace::step(context, name, &Request::Invalidate) {
                Reply::Number(number) => held += number,
                // The server's, which it would say of the other keys too.
                Reply::Error(error) => return Err(error),
                _ => {}
            }
        }
        context.reply_count(held);
        Ok(())
    }
}
