//! `CACHE.APPLY key header [value]`: how effects, removals and marks of tags reach replicas and the AOF.

use corral_core::codec::{self, Effect, ValuePart};
use corral_core::error::Error;
use corral_core::node::Word;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::{Access, Arg, Kind};
use corral_server::{Argv, Context};

use super::{absent, error, FIRST, KEY_ARG};
use crate::{keyspace, memory};

pub struct Apply;

impl Command for Apply {
    error!();

    const SPEC: Spec = Spec {
        name: keyspace::APPLY,
        flags: c"write",
        arity: -3,
        // Slot migrations skip commands whose keys they cannot find.
        keys: Keys::One(Access::Update),
        acl: c"",
        summary: c"Internal: an effect on its way to replicas and the AOF; refused from clients",
        complexity: c"O(1)",
        since: FIRST,
        tips: c"",
        args: || {
            vec![KEY_ARG, Arg::new(c"header", Kind::String), Arg { optional: true, ..Arg::new(c"value", Kind::String) }]
        },
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        // Who calls counts, never what state the server is in: clients are served while a data set is loaded beside.
        let flags = context.flags();
        let is_obeyed = context.must_obey_client().unwrap_or(false) || flags.is_replicated() || context.caller_is_aof();
        if !is_obeyed {
            return Err(Error::InternalCommand);
        }
        let (name, header) = (args.key(0).map_err(absent)?, args.word(1).map_err(absent)?);
        let value = args.get(2);
        let malformed = |malformed: codec::Malformed| Error::Malformed { why: malformed.to_string() };
        let (events, effect) = codec::events_of(header).map_err(malformed)?;
        let effect = codec::decode_effect(effect).map_err(malformed)?;
        let carries = matches!(&effect, Effect::Entry(header) if header.value == ValuePart::Carried);
        if carries != value.is_some() || args.len() > 3 {
            return Err(Error::Malformed { why: "the header and the arguments do not agree on a value".to_owned() });
        }
        match effect {
            Effect::Entry(header) => keyspace::apply(context, name, header, value),
            Effect::Removal => keyspace::apply_removal(context, name),
            Effect::Marks(record) => {
                let moment = memory::moment();
                memory::with(|memory| memory.node.applied_marks(&record, moment));
                context.replicate_verbatim();
            }
        }
        // A data set that is loaded from an AOF tells nobody.
        if !flags.is_loading() {
            for word in events.iter().filter_map(|code| Word::of_code(*code)) {
                keyspace::notify(context, name, word);
            }
        }
        context.reply_word(c"OK");
        Ok(())
    }
}
