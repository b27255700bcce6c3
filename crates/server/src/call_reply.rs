//! The reply of a call that the module makes itself.
//!
//! # Safety contract
//!
//! A reply belongs to the context of its call: freeing it looks into that context. So it borrows the context.

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

use redis_module::raw;

use crate::Context;

/// One reply, freed on drop.
pub struct CallReply<'a> {
    raw: NonNull<raw::RedisModuleCallReply>,
    context: PhantomData<&'a Context>,
}

/// A reply that is a string, for its bytes: they stay where the server wrote them.
pub struct OwnedBytes<'a>(CallReply<'a>);

impl<'a> CallReply<'a> {
    /// `None` if the server made no call. `raw` comes from a call in `context`, and nobody else frees it.
    pub(crate) fn new(_context: &'a Context, raw: *mut raw::RedisModuleCallReply) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self { raw, context: PhantomData })
    }

    /// The error line without its `-`.
    pub fn as_error(&self) -> Option<&[u8]> {
        self.is(raw::REDISMODULE_REPLY_ERROR).then(|| self.text())
    }

    /// A status or a bulk string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        self.is(raw::REDISMODULE_REPLY_STRING).then(|| self.text())
    }

    pub fn as_integer(&self) -> Option<i64> {
        self.is(raw::REDISMODULE_REPLY_INTEGER).then(|| call!(RedisModule_CallReplyInteger(self.raw.as_ptr())))
    }

    /// The reply's bytes, if it is a string.
    pub(crate) fn into_bytes(self) -> Option<OwnedBytes<'a>> {
        self.is(raw::REDISMODULE_REPLY_STRING).then_some(OwnedBytes(self))
    }

    pub(crate) const fn as_ptr(&self) -> *mut raw::RedisModuleCallReply {
        self.raw.as_ptr()
    }

    /// Gives the reply up for good: it is freed by nobody.
    pub(crate) fn into_raw(self) -> NonNull<raw::RedisModuleCallReply> {
        let raw = self.raw;
        std::mem::forget(self);
        raw
    }

    pub(crate) fn is(&self, kind: isize) -> bool {
        call!(RedisModule_CallReplyType(self.raw.as_ptr())) as isize == kind
    }

    fn text(&self) -> &[u8] {
        let mut length = 0;
        let start = call!(RedisModule_CallReplyStringPtr(self.raw.as_ptr(), &mut length));
        if start.is_null() {
            return &[];
        }
        // SAFETY: the server returns the reply's own text and its length; it lives until the reply is freed.
        unsafe { std::slice::from_raw_parts(start.cast(), length) }
    }
}

impl Drop for CallReply<'_> {
    fn drop(&mut self) {
        call!(RedisModule_FreeCallReply(self.raw.as_ptr()));
    }
}

impl Deref for OwnedBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.text()
    }
}
