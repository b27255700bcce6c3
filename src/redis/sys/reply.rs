//! Replies.

use std::ffi::CStr;

use corral_lease::ask::{Answer, State};

use super::{call, Context};

impl Context {
    /// `[state, value, number]`.
    pub fn reply_answer(&self, answer: &Answer) {
        self.reply_triple(answer.state(), answer.payload(), answer.number());
    }

    /// `[state, value, number]` from its parts, for values that stay where they are.
    #[inline]
    pub fn reply_triple(&self, state: State, value: Option<&[u8]>, number: i64) {
        self.reply_array(3);
        self.reply_state(state);
        match value {
            Some(value) => self.reply_bytes(value),
            None => self.reply_null(),
        }
        self.reply_number(number);
    }

    pub fn reply_null(&self) {
        call!(RedisModule_ReplyWithNull(self.raw));
    }

    pub fn reply_number(&self, number: i64) {
        call!(RedisModule_ReplyWithLongLong(self.raw, number));
    }

    /// A number that is never negative: milliseconds, bytes, a token, how many.
    pub fn reply_count(&self, count: u64) {
        self.reply_number(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub fn reply_bytes(&self, bytes: &[u8]) {
        call!(RedisModule_ReplyWithStringBuffer(self.raw, bytes.as_ptr().cast(), bytes.len()));
    }

    /// A status word. `word` is one of ours: a NUL or a line break in it would break the protocol.
    pub fn reply_word(&self, word: &'static CStr) {
        call!(RedisModule_ReplyWithSimpleString(self.raw, word.as_ptr()));
    }

    /// The header of an array whose elements follow.
    pub fn reply_array(&self, length: usize) {
        call!(RedisModule_ReplyWithArray(self.raw, length as std::ffi::c_long));
    }

    /// The header of a map whose keys and values follow: a flat array in RESP2.
    pub fn reply_map(&self, pairs: usize) {
        call!(RedisModule_ReplyWithMap(self.raw, pairs as std::ffi::c_long));
    }

    /// An error: a code, a blank, a sentence.
    pub fn reply_error(&self, sentence: &CStr) {
        call!(RedisModule_ReplyWithError(self.raw, sentence.as_ptr()));
    }

    /// The server's own complaint about a wrong number of arguments.
    pub fn reply_wrong_arity(&self) {
        call!(RedisModule_WrongArity(self.raw));
    }
}
