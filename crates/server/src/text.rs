//! Keys that hold an ordinary string.
//!
//! Read by GET rather than by RM_StringDMA, which turns an int-encoded or embedded string into a raw one for good. Only
//! of long strings, which are raw already, the bytes are read where they lie.

use redis_module::raw;

use crate::call_reply::{CallReply, OwnedBytes};
use crate::key::RawKey;
use crate::{Context, KeyName};

/// No server embeds or compresses strings of this length; the longest embedded one is some hundred bytes long.
const SURELY_RAW: usize = 4096;

impl Context {
    /// The string a key holds; `None` if it holds none. The bytes are copied once, by the server.
    pub fn string_at(&self, key: KeyName) -> Option<OwnedBytes<'_>> {
        self.get(key)?.into_bytes()
    }

    /// How many bytes the string has that a key holds; `None` if it holds none.
    pub fn string_length(&self, key: KeyName) -> Option<usize> {
        RawKey::open(self, key, raw::REDISMODULE_READ).string_length()
    }

    /// Answers with the string a key holds, as a bulk string, without a copy in the module's memory. False, and nothing
    /// written, if it holds none.
    pub fn reply_string_at(&self, key: KeyName) -> bool {
        let open = RawKey::open(self, key, raw::REDISMODULE_READ);
        let Some(length) = open.string_length() else { return false };
        if length > SURELY_RAW {
            let mut length = 0;
            let start = call!(RedisModule_StringDMA(open.raw, &mut length, raw::REDISMODULE_READ as i32));
            if !start.is_null() {
                // Copied to the client's output before anything else can happen to the key.
                call!(RedisModule_ReplyWithStringBuffer(self.raw, start, length));
                return true;
            }
        }
        drop(open);
        let Some(reply) = self.get(key).filter(|reply| reply.is(raw::REDISMODULE_REPLY_STRING)) else { return false };
        call!(RedisModule_ReplyWithCallReply(self.raw, reply.as_ptr()));
        true
    }

    fn get(&self, key: KeyName) -> Option<CallReply<'_>> {
        CallReply::new(self, call!(RedisModule_Call(self.raw, c"GET".as_ptr(), c"s".as_ptr(), key.string)))
    }
}
