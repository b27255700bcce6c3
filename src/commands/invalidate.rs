//! `CACHE.INVALIDATE key [key ...]`

use crate::redis::keyspace::{self, event, Over};
use crate::redis::refusal::Refusal;
use crate::redis::sys::command::{Access, Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::{Argv, Context};

pub struct Invalidate;

impl Command for Invalidate {
    const SPEC: Spec = Spec {
        name: c"CACHE.INVALIDATE",
        flags: c"write fast",
        arity: -2,
        keys: Keys::All(Access::Update),
        summary: c"Soft purge: the values are stale from now on, the leases void",
        complexity: c"O(N) where N is the number of keys",
        tips: c"request_policy:multi_shard response_policy:agg_sum",
        args: &[Arg::many(c"key", Kind::Key)],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
        let held = (0..args.len()).filter_map(|index| args.key(index).ok()).filter(|name| {
            keyspace::step(context, *name, Over::Entries, Some(event::INVALIDATE), |key, _| key.invalidate())
        });
        context.reply_number(held.count() as i64);
        Ok(())
    }
}
