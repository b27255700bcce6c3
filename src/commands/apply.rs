//! `CACHE.APPLY key header [value]`: how effects reach replicas and the AOF.

use corral_lease::codec::{self, ValuePart};

use crate::redis::keyspace;
use crate::redis::refusal::Refusal;
use crate::redis::sys::command::{Access, Arg, Command, Keys, Kind, Spec};
use crate::redis::sys::{Argv, Context};

pub struct Apply;

impl Command for Apply {
    const SPEC: Spec = Spec {
        name: c"CACHE.APPLY",
        flags: c"write",
        arity: -3,
        // Slot migrations skip commands whose keys they cannot find.
        keys: Keys::One(Access::Update),
        summary: c"Internal: an effect on its way to replicas and the AOF; refused from clients",
        complexity: c"O(1)",
        tips: c"",
        args: &[
            Arg::new(c"key", Kind::Key),
            Arg::new(c"header", Kind::String),
            Arg { optional: true, ..Arg::new(c"value", Kind::String) },
        ],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Refusal> {
        let flags = context.flags();
        let must_obey = context.must_obey_client().unwrap_or(false);
        if !must_obey && !flags.is_replicated() && !flags.is_loading() {
            return Err(Refusal::Internal);
        }
        let (name, header) = (args.key(0)?, args.word(1)?);
        let value = args.get(2);
        let header = codec::decode(header).map_err(|malformed| Refusal::Malformed(malformed.to_string()))?;
        if (header.value == ValuePart::Carried) != value.is_some() || args.len() > 3 {
            return Err(Refusal::Malformed("the header and the arguments do not agree on a value".to_owned()));
        }
        keyspace::apply(context, name, header, value);
        context.reply_word(c"OK");
        Ok(())
    }
}
