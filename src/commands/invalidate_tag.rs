//! `CACHE.INVALIDATETAG n tag [tag ...] [SWR ms]`

use corral_core::codec::MarksRecord;
use corral_core::error::Error;
use corral_core::node::Word;
use corral_core::options;
use corral_core::request::invalidate_tag;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::{Arg, Kind};
use corral_server::{Argv, Context};

use super::{error, with_options, SECOND};
use crate::{keyspace, memory, scheduler};

pub struct InvalidateTag;

impl Command for InvalidateTag {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.INVALIDATETAG",
        flags: c"write deny-oom fast",
        arity: -3,
        keys: Keys::None,
        acl: c"",
        summary: c"Marks tags: every entry that has one of them and was built before is stale from now on",
        complexity: c"O(N) where N is the number of tags named, however many entries have them",
        since: SECOND,
        tips: c"request_policy:all_shards response_policy:all_succeeded",
        args: || {
            with_options(
                vec![Arg::new(c"count", Kind::Integer), Arg::many(c"tag", Kind::String)],
                &options::INVALIDATE_TAG,
            )
        },
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let words: Vec<&[u8]> = args.from(0).collect();
        let (tags, swr_ms) = invalidate_tag(&words)?;
        if !context.flags().is_master() {
            return Err(Error::ReadOnly);
        }
        let moment = memory::moment();
        let record = memory::with(|memory| memory.node.invalidate_tags(&tags, swr_ms, moment));
        if let Some(record) = record {
            // In pieces that a replica takes: a header has a limit.
            for tags in record.tags.chunks(MARKED_AT_ONCE) {
                let MarksRecord { token, at, swr_ms, .. } = record;
                keyspace::replicate_marks(context, &MarksRecord { token, at, swr_ms, tags: tags.to_vec() });
            }
            keyspace::replicate_floor(context);
            for tag in &tags {
                let tag = context.string(tag);
                context.notify(Word::InvalidateTag.text(), tag.as_key());
            }
        }
        scheduler::arm(context);
        context.reply_word(c"OK");
        Ok(())
    }
}

/// Tags in one replicated effect: at 255 bytes each they fit into a header.
const MARKED_AT_ONCE: usize = 32;
