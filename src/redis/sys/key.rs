//! One opened key.
//!
//! # Safety contract
//!
//! An opened key borrows the context it was opened in, and gives out its entry only by borrowing itself. So nobody
//! holds an entry while the key is deleted or replaced, and none survives the callback. Between those borrows the
//! server may free the value at will (expiry, eviction), which is why nothing else keeps a pointer to an entry.

use std::marker::PhantomData;

use corral_lease::entry::Entry;
use corral_lease::time::UnixMs;
use redis_module::raw;

use super::context::OK;
use super::{call, data_type, has, Context, KeyName};

pub struct OpenKey<'a> {
    raw: *mut raw::RedisModuleKey,
    context: &'a Context,
    lives: PhantomData<&'a mut Entry>,
}

/// What kind of thing a key holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holds {
    Nothing,
    Entry,
    /// An ordinary string.
    String,
    /// Any other type.
    Foreign,
}

impl<'a> OpenKey<'a> {
    /// Opens for reading. Does not touch WATCH or client-side caching.
    pub fn read(context: &'a Context, name: KeyName<'a>) -> Self {
        Self::open(context, name, raw::REDISMODULE_READ)
    }

    /// Opens for writing. An expired key is deleted (and its deletion replicated) by this.
    pub fn write(context: &'a Context, name: KeyName<'a>) -> Self {
        Self::open(context, name, raw::REDISMODULE_READ | raw::REDISMODULE_WRITE)
    }

    fn open(context: &'a Context, name: KeyName<'a>, mode: u32) -> Self {
        let raw = call!(RedisModule_OpenKey(context.raw, name.string, mode as i32));
        Self { raw, context, lives: PhantomData }
    }

    /// What the key holds, where it is no entry or only its kind matters.
    pub fn kind(&self) -> Holds {
        if self.raw.is_null() {
            return Holds::Nothing;
        }
        if self.entry_ptr().is_some() {
            return Holds::Entry;
        }
        match call!(RedisModule_KeyType(self.raw)) {
            kind if kind == raw::REDISMODULE_KEYTYPE_EMPTY as i32 => Holds::Nothing,
            kind if kind == raw::REDISMODULE_KEYTYPE_STRING as i32 => Holds::String,
            _ => Holds::Foreign,
        }
    }

    /// The entry, rid of a lease that was granted in another database (SWAPDB moves entries without a word).
    #[inline]
    pub fn entry(&mut self) -> Option<&mut Entry> {
        // SAFETY: a pointer this module stored under its own type, borrowed from `self` as the file's contract says.
        let entry = unsafe { &mut *self.entry_ptr()? };
        if entry.lease().is_some() {
            entry.settle(self.context.db());
        }
        Some(entry)
    }

    /// Puts an entry where none was. The key must have been opened for writing.
    pub fn put(&mut self, entry: Entry) {
        let entry = Box::into_raw(Box::new(entry));
        if call!(RedisModule_ModuleTypeSetValue(self.raw, data_type::handle(), entry.cast())) != OK {
            // SAFETY: the server did not take it, so it is still ours.
            drop(unsafe { Box::from_raw(entry) });
        }
    }

    /// Deletes the key, whatever it holds.
    pub fn delete(&mut self) {
        call!(RedisModule_DeleteKey(self.raw));
    }

    /// The key's deadline in Redis; never if it has none.
    pub fn deadline(&self, now: UnixMs) -> UnixMs {
        if has!(RedisModule_GetAbsExpire) {
            let at = call!(RedisModule_GetAbsExpire(self.raw));
            return u64::try_from(at).map_or(UnixMs::NEVER, UnixMs::new);
        }
        let left = call!(RedisModule_GetExpire(self.raw));
        u64::try_from(left).map_or(UnixMs::NEVER, |left| now.plus(left))
    }

    /// Sets the key's deadline in Redis. Not propagated by the server: whoever replicates the entry sends it along.
    pub fn set_deadline(&mut self, deadline: UnixMs, now: UnixMs) {
        let absolute = has!(RedisModule_SetAbsExpire);
        let ms = match deadline.get() {
            None => i64::from(raw::REDISMODULE_NO_EXPIRE),
            Some(at) if absolute => i64::try_from(at).unwrap_or(i64::MAX),
            Some(_) => i64::try_from(now.until(deadline)).unwrap_or(i64::MAX),
        };
        match absolute {
            true => call!(RedisModule_SetAbsExpire(self.raw, ms)),
            false => call!(RedisModule_SetExpire(self.raw, ms)),
        };
    }

    #[inline]
    fn entry_ptr(&self) -> Option<*mut Entry> {
        if self.raw.is_null() || call!(RedisModule_ModuleTypeGetType(self.raw)) != data_type::handle() {
            return None;
        }
        let entry: *mut Entry = call!(RedisModule_ModuleTypeGetValue(self.raw)).cast();
        (!entry.is_null()).then_some(entry)
    }
}

impl Drop for OpenKey<'_> {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            call!(RedisModule_CloseKey(self.raw));
        }
    }
}
