//! `CACHE.TOP [COUNT n] [BY wait|build|grants|saved]`

use corral_core::error::Error;
use corral_core::fields;
use corral_core::node::top::Costs;
use corral_core::options;
use corral_core::request::TopWanted;
use corral_server::command::{Command, Keys, Spec};
use corral_server::{Argv, Context};

use super::{error, with_options, SECOND};
use crate::{memory, resets};

pub struct Top;

impl Command for Top {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.TOP",
        flags: c"readonly admin",
        arity: -1,
        keys: Keys::None,
        acl: c"admin dangerous",
        summary: c"The keys that cost most since the statistics began: waiting, building, grants, rebuilds saved",
        complexity: c"O(1): of the thousand keys that are kept",
        since: SECOND,
        tips: c"nondeterministic_output request_policy:all_nodes response_policy:special",
        args: || with_options(vec![], &options::TOP),
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let wanted = TopWanted::parse(args.from(0))?;
        // As before INFO: where nothing was counted since a CONFIG RESETSTAT, nobody has looked.
        resets::look_and_mark(context);
        let dearest: Vec<Costs> = memory::with(|memory| memory.node.top(wanted).into_iter().cloned().collect());
        context.reply_array(dearest.len());
        for costs in &dearest {
            context.reply_map(fields::OF_TOP.len());
            context.reply_word(fields::KEY.name);
            context.reply_bytes(&costs.name);
            context.reply_word(fields::DB.name);
            context.reply_count(u64::from(costs.db));
            context.reply_word(fields::WAIT_MS.name);
            context.reply_count(costs.wait_ms.sum());
            context.reply_word(fields::BUILDS_MS.name);
            context.reply_count(costs.build_ms.sum());
            context.reply_word(fields::GRANTS.name);
            context.reply_count(costs.grants.sum());
            context.reply_word(fields::SAVED.name);
            context.reply_count(costs.saved.sum());
        }
        Ok(())
    }
}
