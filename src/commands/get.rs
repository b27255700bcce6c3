//! `CACHE.GET key`

use std::ffi::CStr;

use corral_core::answer::{Answer, State};
use corral_core::error::Error;
use corral_core::time::UnixMs;
use corral_server::command::{Command, Keys, Spec};
use corral_server::command_info::Access;
use corral_server::{clock, Argv, Context, Holds, KeyName, OpenKey};

use super::{absent, error, FIRST, KEY_ARG};
use crate::module::Corral;
use crate::{memory, reply, resets};

pub const NAME: &CStr = c"CACHE.GET";

pub struct Get;

impl Command for Get {
    error!();

    const SPEC: Spec = Spec {
        name: NAME,
        flags: c"readonly fast",
        arity: 2,
        keys: Keys::One(Access::Read),
        acl: c"",
        summary: c"Answers with what there is; grants nothing, never blocks, never writes",
        complexity: c"O(1)",
        since: FIRST,
        tips: c"",
        args: || vec![KEY_ARG],
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let name = args.key(0).map_err(absent)?;
        let answer = peek(context, name)?;
        count(&answer);
        reply::answer(context, &answer, Some(name));
        Ok(())
    }
}

/// What a reader is told of a key.
pub fn peek(context: &Context, name: KeyName) -> Result<Answer, Error> {
    let mut open = OpenKey::<Corral>::read(context, name);
    let now = UnixMs::from_micros(clock::command_us());
    let expires = open.deadline(clock::now_ms()).map_or(UnixMs::NEVER, UnixMs::new);
    if let Some(entry) = open.entry() {
        return Ok(memory::with(|memory| memory.node.peek(context.db(), entry, now)));
    }
    match open.kind() {
        Holds::Nothing | Holds::Entry => Ok(Answer::Miss { lease_left_ms: 0 }),
        Holds::String => Ok(Answer::hit_of_string(expires, now)),
        Holds::Foreign => Err(Error::WrongType),
    }
}

pub fn count(answer: &Answer) {
    match answer.state() {
        State::Hit => resets::count_hit(),
        State::Stale => memory::with(|memory| memory.node.counters_mut().stale_hits += 1),
        _ => memory::with(|memory| memory.node.counters_mut().misses += 1),
    }
}
