//! Replies that are each made once and repeated.
//!
//! A small reply costs most in its formatting: RM_ReplyWithSimpleString some 740 of a hit's 5,790 instructions on Redis
//! 7.0.15, a bulk string three appends to the output. RM_ReplyWithCallReply copies the finished reply of another call as
//! it is, of whatever kind, for some 170. So at load a command of ours says every word once, and these replies are kept.
//!
//! # Safety contract
//!
//! A kept reply is never freed: freeing one looks into the context of its call, which is over, and the server does not
//! unload a module that has a data type. It is used on the main thread only. Repeating one reads its bytes alone.

use std::ffi::CStr;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use redis_module::raw;

use crate::api::OK;
use crate::call_reply::CallReply;
use crate::Context;

/// A finished reply, the same in RESP2 and RESP3.
#[derive(Debug)]
pub struct Kept(NonNull<raw::RedisModuleCallReply>);

// SAFETY: only ever used on the main thread (contract 1 of the crate); being in a static asks for the markers.
unsafe impl Send for Kept {}
// SAFETY: as for `Send`.
unsafe impl Sync for Kept {}

/// Which word [`keep_replies`] is asking for; `NONE` outside of it.
static SAYING: AtomicUsize = AtomicUsize::new(NONE);
const NONE: usize = usize::MAX;

/// Has `command` say `count` words, and keeps its replies: at load, once it is registered. The command is one of ours
/// without keys that takes a call without arguments; it answers with word `i`, a status or a bulk string, when
/// [`Context::saying`] is `Some(i)`. `None` for a word that the server did not let it say: it is to be formatted anew.
pub fn keep_replies(context: &Context, command: &CStr, count: usize) -> Vec<Option<Kept>> {
    let keep = |word| {
        SAYING.store(word, Relaxed);
        let reply = call!(RedisModule_Call(context.raw, command.as_ptr(), c"".as_ptr()));
        SAYING.store(NONE, Relaxed);
        let reply = CallReply::new(context, reply)?;
        reply.is(raw::REDISMODULE_REPLY_STRING).then(|| Kept(reply.into_raw()))
    };
    (0..count).map(keep).collect()
}

impl Context {
    /// The word that [`keep_replies`] is asking for, if it is asking.
    #[inline]
    pub fn saying(&self) -> Option<usize> {
        Some(SAYING.load(Relaxed)).filter(|word| *word != NONE)
    }

    /// Repeats a kept reply. False, and nothing written, if the server declined.
    #[inline]
    pub fn reply_kept(&self, kept: &Kept) -> bool {
        call!(RedisModule_ReplyWithCallReply(self.raw, kept.0.as_ptr())) == OK
    }
}
