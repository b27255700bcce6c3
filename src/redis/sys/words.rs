//! State words, each made once and repeated.
//!
//! RM_ReplyWithSimpleString is the dearest part of a small reply: some 740 of a hit's 5,790 instructions on Redis 7.0.15.
//! RM_ReplyWithCallReply copies the finished reply of another call as it is, for some 170. So at load a command of ours
//! says every word once, and these replies are kept.
//!
//! # Safety contract
//!
//! The replies belong to the module from the call that made them, and are never freed: the server does not unload a
//! module that has a data type. They are used on the main thread only.

use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use corral_lease::ask::State;
use redis_module::raw;

use super::{call, Context};

/// The kept replies, by state; null for a word that has to be formatted anew.
static KEPT: [AtomicPtr<raw::RedisModuleCallReply>; State::ALL.len()] =
    [const { AtomicPtr::new(null_mut()) }; State::ALL.len()];

/// Which of `State::ALL` is to be said; beyond its end outside of [`keep`].
static TO_SAY: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Has `command`, one of ours without keys that is registered already, say every word, and keeps its replies. At load.
pub fn keep(context: &Context, command: &CStr) {
    for (place, kept) in KEPT.iter().enumerate() {
        TO_SAY.store(place, Relaxed);
        let reply = call!(RedisModule_Call(context.raw, command.as_ptr(), c"".as_ptr()));
        TO_SAY.store(usize::MAX, Relaxed);
        if reply.is_null() {
            continue;
        }
        if call!(RedisModule_CallReplyType(reply)) == raw::REDISMODULE_REPLY_STRING as i32 {
            kept.store(reply, Relaxed);
        } else {
            call!(RedisModule_FreeCallReply(reply));
        }
    }
}

impl Context {
    /// The word of a state.
    #[inline]
    pub fn reply_state(&self, state: State) {
        let kept = KEPT.get(state as usize).map_or(null_mut(), |kept| kept.load(Relaxed));
        if kept.is_null() {
            self.reply_word(state.word());
        } else {
            call!(RedisModule_ReplyWithCallReply(self.raw, kept));
        }
    }

    /// Says the word that [`keep`] is asking for; false if it is not asking.
    pub(super) fn say(&self) -> bool {
        let state = State::ALL.get(TO_SAY.load(Relaxed));
        state.inspect(|state| self.reply_word(state.word())).is_some()
    }
}
