//! Answers as they are written.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::sync::OnceLock;

use corral_core::answer::{Answer, State};
use corral_core::error::Error;
use corral_core::node::Reply;
use corral_server::{kept, Context, Kept, KeyName};

/// The state words, each made once and repeated; `None` for one that has to be written anew.
static WORDS: OnceLock<Vec<Option<Kept>>> = OnceLock::new();

/// Has the server say each state word once, and keeps them. At load.
pub fn keep_words(context: &Context) {
    WORDS.get_or_init(|| kept::keep_replies(context, crate::commands::version::NAME, State::ALL.len()));
}

/// Says the word that [`keep_words`] is asking for. Whether it was asking.
pub fn say(context: &Context) -> bool {
    let word = context.saying().and_then(|word| State::ALL.get(word));
    word.inspect(|state| context.reply_bytes(state.word().as_bytes())).is_some()
}

/// A state word, as a bulk string.
#[inline]
pub fn state(context: &Context, state: State) {
    let kept = WORDS.get().and_then(|words| words.get(state as usize)?.as_ref());
    if !kept.is_some_and(|kept| context.reply_kept(kept)) {
        context.reply_bytes(state.word().as_bytes());
    }
}

/// `[state, value, number]`. `string`: the key whose ordinary string the value is, where it is one.
pub fn answer(context: &Context, answer: &Answer, string: Option<KeyName>) {
    context.reply_array(3);
    state(context, answer.state());
    match (answer.payload(), string) {
        (Some(value), _) => context.reply_bytes(value),
        (None, Some(key)) if answer.has_string() => {
            // Gone between the look and the reply: its deadline came.
            if !context.reply_string_at(key) {
                context.reply_null();
            }
        }
        (None, _) => context.reply_null(),
    }
    context.reply_number(answer.number());
}

/// The answer of a fresh value that stays where it is.
#[inline]
pub fn hit(context: &Context, value: &[u8], stale_in_ms: i64) {
    context.reply_array(3);
    state(context, State::Hit);
    context.reply_bytes(value);
    context.reply_number(stale_in_ms);
}

pub fn error(context: &Context, error: &Error) {
    context.reply_error(&sentence(error));
}

/// An error as the server takes it.
pub fn sentence(error: &Error) -> Cow<'static, CStr> {
    match CString::new(error.sentence()) {
        Ok(sentence) => Cow::Owned(sentence),
        Err(_) => Cow::Borrowed(c"ERR the error cannot be shown"),
    }
}

/// What the node has a caller told. Parking is the caller's own affair.
pub fn reply(context: &Context, reply: Reply, key: KeyName) -> Result<(), Error> {
    match reply {
        Reply::Answer(told) => answer(context, &told, Some(key)),
        Reply::Park { otherwise, .. } => answer(context, &otherwise, Some(key)),
        Reply::Ok => context.reply_word(c"OK"),
        Reply::Nil | Reply::Nothing => context.reply_null(),
        Reply::Number(number) => context.reply_count(number),
        Reply::Error(error) => return Err(error),
    }
    Ok(())
}
