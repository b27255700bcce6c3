//! `CACHE.MGET key [key ...]`

use corral_core::answer::Answer;
use corral_core::error::Error;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::{Access, Arg, Kind};
use corral_server::{Argv, Context, KeyName};

use super::get::{count, peek};
use super::{error, SECOND};
use crate::reply;

pub struct MGet;

impl Command for MGet {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.MGET",
        flags: c"readonly fast",
        arity: -2,
        keys: Keys::All(Access::Read),
        acl: c"",
        summary: c"CACHE.GET for many keys at once",
        complexity: c"O(N) where N is the number of keys",
        since: SECOND,
        tips: c"request_policy:multi_shard",
        args: || vec![Arg::many(c"key", Kind::Key)],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let names = (0..args.len()).filter_map(|index| args.key(index).ok());
        let answers: Result<Vec<(KeyName, Answer)>, Error> =
            names.map(|name| Ok((name, peek(context, name)?))).collect();
        let answers = answers?;
        context.reply_array(answers.len());
        for (name, answer) in &answers {
            count(answer);
            reply::answer(context, answer, Some(*name));
        }
        Ok(())
    }
}
