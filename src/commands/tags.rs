//! `CACHE.TAGS tag [tag ...]`

use corral_core::error::Error;
use corral_core::request::tag_name;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::{Arg, Kind};
use corral_server::{Argv, Context};

use super::{error, SECOND};
use crate::memory;

pub struct Tags;

impl Command for Tags {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.TAGS",
        flags: c"readonly fast",
        arity: -2,
        keys: Keys::None,
        acl: c"",
        summary: c"When each tag was last marked, in ms since the epoch; 0 if it was not, as far as is known",
        complexity: c"O(N) where N is the number of tags named",
        since: SECOND,
        tips: c"request_policy:all_shards response_policy:special",
        args: || vec![Arg::many(c"tag", Kind::String)],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let tags: Result<Vec<&[u8]>, Error> = args.from(0).map(tag_name).collect();
        let tags = tags?;
        let moments: Vec<u64> = memory::with(|memory| tags.iter().map(|tag| memory.node.tag_moment(tag)).collect());
        context.reply_array(moments.len());
        for moment in moments {
            context.reply_count(moment);
        }
        Ok(())
    }
}
