//! Replies.

use std::ffi::{c_long, CStr};

use crate::Context;

impl Context {
    pub fn reply_null(&self) {
        call!(RedisModule_ReplyWithNull(self.raw));
    }

    #[inline]
    pub fn reply_number(&self, number: i64) {
        call!(RedisModule_ReplyWithLongLong(self.raw, number));
    }

    /// A number that is never negative: milliseconds, bytes, a token, how many.
    #[inline]
    pub fn reply_count(&self, count: u64) {
        self.reply_number(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A bulk string, copied at once. (RM_ReplyWithString may keep a reference to a string that another thread frees.)
    #[inline]
    pub fn reply_bytes(&self, bytes: &[u8]) {
        call!(RedisModule_ReplyWithStringBuffer(self.raw, bytes.as_ptr().cast(), bytes.len()));
    }

    /// A status word. `word` is one of ours: a line break in it would break the protocol.
    pub fn reply_word(&self, word: &'static CStr) {
        call!(RedisModule_ReplyWithSimpleString(self.raw, word.as_ptr()));
    }

    /// The header of an array whose elements follow.
    #[inline]
    pub fn reply_array(&self, length: usize) {
        call!(RedisModule_ReplyWithArray(self.raw, length as c_long));
    }

    /// The header of a map whose keys and values follow: a flat array in RESP2.
    pub fn reply_map(&self, pairs: usize) {
        call!(RedisModule_ReplyWithMap(self.raw, pairs as c_long));
    }

    /// An error: a code, a blank, a sentence.
    pub fn reply_error(&self, sentence: &CStr) {
        call!(RedisModule_ReplyWithError(self.raw, sentence.as_ptr()));
    }

    /// An error line of the server's own, as [`Context::probe`] gives it.
    pub fn reply_error_line(&self, line: &[u8]) {
        let fit = line.iter().map(|byte| if byte.is_ascii_control() { b' ' } else { *byte }).collect::<Vec<u8>>();
        // There is no NUL left in it.
        self.reply_error(&std::ffi::CString::new(fit).unwrap_or_default());
    }

    /// The server's own complaint about a wrong number of arguments.
    pub(crate) fn reply_wrong_arity(&self) {
        call!(RedisModule_WrongArity(self.raw));
    }
}
