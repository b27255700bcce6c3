//! One opened key.
//!
//! # Safety contract
//!
//! An opened key borrows the context it was opened in, and gives out its entry only by borrowing itself. So nobody
//! holds an entry while the key is deleted or replaced, and none survives the callback. Between those borrows the
//! server may free the value at will (expiry, eviction), which is why nothing else keeps a pointer to an entry.
//! What the types do not see is the caller's to keep: a key is opened once at a time, and while its entry is borrowed no
//! command is called that could delete or overwrite the key.

use std::marker::PhantomData;

use redis_module::raw;

use crate::api::OK;
use crate::{clock, data_type, Context, KeyName, Module};

/// A key of the keyspace, closed on drop.
pub struct OpenKey<'a, M: Module> {
    key: RawKey<'a>,
    entry: PhantomData<&'a mut M::Entry>,
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

/// A key without knowledge of entries, closed on drop. Null where there is nothing and it was opened for reading.
pub(crate) struct RawKey<'a> {
    pub(crate) raw: *mut raw::RedisModuleKey,
    lives: PhantomData<&'a Context>,
}

impl<'a, M: Module> OpenKey<'a, M> {
    /// Opens for reading. Does not touch WATCH or client-side caching.
    #[inline]
    pub fn read(context: &'a Context, name: KeyName<'a>) -> Self {
        Self { key: RawKey::open(context, name, raw::REDISMODULE_READ), entry: PhantomData }
    }

    /// Opens for writing. An expired key is deleted (and its deletion replicated) by this.
    pub fn write(context: &'a Context, name: KeyName<'a>) -> Self {
        Self { key: RawKey::open(context, name, raw::REDISMODULE_READ | raw::REDISMODULE_WRITE), entry: PhantomData }
    }

    /// What the key holds, where it is no entry or only its kind matters.
    pub fn kind(&self) -> Holds {
        match self.entry_ptr() {
            Some(_) => Holds::Entry,
            None => self.key.kind(),
        }
    }

    #[inline]
    pub fn entry(&mut self) -> Option<&mut M::Entry> {
        // SAFETY: a pointer this module stored under its own type, borrowed from `self` as the file's contract says.
        self.entry_ptr().map(|entry| unsafe { &mut *entry })
    }

    /// Puts an entry where none was. The key must have been opened for writing; false if the server did not take it.
    ///
    /// Over another value the server unlinks that one, and takes the key's deadline away: an entry is changed in place.
    pub fn put(&mut self, entry: M::Entry) -> bool {
        let Some(handle) = data_type::handle::<M>() else { return false };
        if self.key.raw.is_null() {
            return false;
        }
        let entry = Box::into_raw(Box::new(entry));
        let is_taken = call!(RedisModule_ModuleTypeSetValue(self.key.raw, handle, entry.cast())) == OK;
        if !is_taken {
            // SAFETY: the server did not take it, so it is still ours.
            drop(unsafe { Box::from_raw(entry) });
        }
        is_taken
    }

    /// Deletes the key, whatever it holds. False if it was not opened for writing.
    pub fn delete(&mut self) -> bool {
        !self.key.raw.is_null() && call!(RedisModule_DeleteKey(self.key.raw)) == OK
    }

    /// The key's deadline in Redis, in ms since the epoch; `None` if it has none.
    pub fn deadline(&self, now_ms: u64) -> Option<u64> {
        // Asked for the deadline of a key that holds nothing, Redis 8.2 reads through a null pointer.
        if self.kind() == Holds::Nothing {
            return None;
        }
        if has!(RedisModule_GetAbsExpire) {
            return u64::try_from(call!(RedisModule_GetAbsExpire(self.key.raw))).ok();
        }
        let left_ms = u64::try_from(call!(RedisModule_GetExpire(self.key.raw))).ok()?;
        Some(now_ms.saturating_add(left_ms))
    }

    /// Sets the key's deadline in Redis, `None` for no end. Not propagated by the server: whoever replicates the entry
    /// sends it along. False if the key holds nothing or was not opened for writing.
    pub fn set_deadline(&mut self, deadline_ms: Option<u64>) -> bool {
        if self.kind() == Holds::Nothing {
            return false;
        }
        // Missing before 7.0.5.
        let is_absolute = has!(RedisModule_SetAbsExpire);
        let ms = match deadline_ms {
            None => i64::from(raw::REDISMODULE_NO_EXPIRE),
            Some(at_ms) if is_absolute => i64::try_from(at_ms).unwrap_or(i64::MAX),
            Some(at_ms) => i64::try_from(at_ms.saturating_sub(clock::now_ms())).unwrap_or(i64::MAX),
        };
        let set = match is_absolute {
            true => call!(RedisModule_SetAbsExpire(self.key.raw, ms)),
            false => call!(RedisModule_SetExpire(self.key.raw, ms)),
        };
        set == OK
    }

    /// How many bytes an ordinary string has; `None` if the key holds none.
    pub fn string_length(&self) -> Option<usize> {
        self.key.string_length()
    }

    #[inline]
    fn entry_ptr(&self) -> Option<*mut M::Entry> {
        let handle = data_type::handle::<M>()?;
        if self.key.raw.is_null() || call!(RedisModule_ModuleTypeGetType(self.key.raw)) != handle {
            return None;
        }
        let entry: *mut M::Entry = call!(RedisModule_ModuleTypeGetValue(self.key.raw)).cast();
        (!entry.is_null()).then_some(entry)
    }
}

impl<'a> RawKey<'a> {
    #[inline]
    pub(crate) fn open(context: &'a Context, name: KeyName<'a>, mode: u32) -> Self {
        Self { raw: call!(RedisModule_OpenKey(context.raw, name.string, mode as i32)), lives: PhantomData }
    }

    /// Entries are foreign here.
    fn kind(&self) -> Holds {
        if self.raw.is_null() {
            return Holds::Nothing;
        }
        match call!(RedisModule_KeyType(self.raw)) {
            kind if kind == raw::REDISMODULE_KEYTYPE_EMPTY as i32 => Holds::Nothing,
            kind if kind == raw::REDISMODULE_KEYTYPE_STRING as i32 => Holds::String,
            _ => Holds::Foreign,
        }
    }

    pub(crate) fn string_length(&self) -> Option<usize> {
        (self.kind() == Holds::String).then(|| call!(RedisModule_ValueLength(self.raw)))
    }
}

impl Drop for RawKey<'_> {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            call!(RedisModule_CloseKey(self.raw));
        }
    }
}
