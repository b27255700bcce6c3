//! `CACHE.MGETORLOCK numkeys key [key ...] [LEASE ms] [NOSTALE] [FORCE] [EARLY beta] [TIED] [NOTIFY] [GROUP name] [ONCE ms]`

use corral_core::answer::Answer;
use corral_core::error::Error;
use corral_core::node::Reply;
use corral_core::options;
use corral_core::request::{Form, Options};
use corral_core::words::number;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::{Access, Arg, Kind};
use corral_server::{Argv, Context, Holds, KeyName, OpenKey};

use super::get_or_lock::{ask, check, hit, kept_hit};
use super::{absent, error, with_options, FIRST};
use crate::module::Corral;
use crate::{reply, settings};

pub struct MGetOrLock;

impl Command for MGetOrLock {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.MGETORLOCK",
        // As GETORLOCK.
        flags: c"fast getkeys-api",
        arity: -3,
        keys: Keys::Counted(Access::Update),
        acl: c"",
        summary: c"GETORLOCK for many keys at once, each decided and leased on its own; never blocks",
        complexity: c"O(N) where N is the number of keys",
        since: FIRST,
        tips: c"",
        args: || {
            with_options(
                vec![Arg::new(c"numkeys", Kind::Integer), Arg::many(c"key", Kind::Key)],
                &options::MGET_OR_LOCK,
            )
        },
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let given = number(args.word(0).map_err(absent)?, "numkeys", 1..=i32::MAX as u64, "")?;
        let found = args.len() - 1;
        let count = usize::try_from(given).unwrap_or(usize::MAX);
        if count > found {
            return Err(Error::Count { name: "numkeys", of: "keys", given, found });
        }
        let options = Options::parse(args.from(1 + count), false, settings::lease_max_ms())?;
        check(context, &options)?;
        let names = || (1..=count).filter_map(|index| args.key(index).ok());
        // A foreign type anywhere refuses the whole call, before any lease is granted.
        for name in names() {
            if OpenKey::<Corral>::read(context, name).kind() == Holds::Foreign {
                return Err(Error::WrongType);
            }
        }
        let answers: Result<Vec<(KeyName, Answer)>, Error> =
            names().map(|name| Ok((name, element(context, name, &options)?))).collect();
        let answers = answers?;
        context.reply_array(answers.len());
        for (name, answer) in &answers {
            reply::answer(context, answer, Some(*name));
        }
        Ok(())
    }
}

fn element(context: &Context, name: KeyName, options: &Options) -> Result<Answer, Error> {
    if let Some(answer) = hit(context, name, options, kept_hit) {
        return Ok(answer);
    }
    match ask(context, name, options, Form::Batch)? {
        Reply::Answer(answer) => Ok(answer),
        _ => Ok(Answer::Wait { left_ms: 0 }),
    }
}
