//! The data type: how entries are stored, loaded, copied, counted and freed.
//!
//! # Safety contract
//!
//! A stored value is the `Box<Entry>` that `OpenKey::put`, `rdb_load` or `copy` made; the server gives the same pointer
//! to every callback here and calls `free` once. `free` may run on another thread, after the key is gone from the
//! keyspace: it drops the entry and touches nothing else. `unlink` runs on the main thread and must not write, delete
//! or open keys; it may find the entry alive afterwards (RENAME, MOVE), which is why it voids the lease.

use std::ffi::{c_char, c_int, c_void, CStr};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::Arc;

use corral_lease::codec::{self, ValuePart};
use corral_lease::entry::Entry;
use redis_module::raw;

use super::argv::{bytes, KeyName};
use super::{call, Context};
use crate::redis::guard::{catch, guarded};
use crate::redis::{ledger, log};

/// Nine characters, as the server demands; what TYPE and SCAN TYPE call an entry.
const NAME: &CStr = c"corralkey";

/// Of the RDB payload: a header, then the value if the header says so. The header has a version of its own.
const ENCODING_VERSION: c_int = 1;

static HANDLE: AtomicPtr<raw::RedisModuleType> = AtomicPtr::new(std::ptr::null_mut());

/// The type's handle; null before [`register`].
#[inline]
pub(super) fn handle() -> *mut raw::RedisModuleType {
    HANDLE.load(Ordering::Relaxed)
}

/// Registers the type. Says whether the server took it.
pub fn register(context: &Context) -> bool {
    let mut methods = raw::RedisModuleTypeMethods {
        // What 7.0 knows; servers read as many fields as the version has.
        version: 4,
        rdb_load: Some(rdb_load),
        rdb_save: Some(rdb_save),
        aof_rewrite: Some(aof_rewrite),
        mem_usage: Some(mem_usage),
        digest: Some(digest),
        free: Some(free),
        // None: nothing is stored outside the keys.
        aux_load: None,
        aux_save: None,
        aux_save2: None,
        aux_save_triggers: 0,
        free_effort: Some(free_effort),
        // None where the newer form of the same callback below is given.
        unlink: None,
        copy: None,
        mem_usage2: None,
        free_effort2: None,
        unlink2: Some(unlink),
        copy2: Some(copy),
        // None: an entry is a few small allocations; active defragmentation skips it.
        defrag: None,
    };
    let handle = call!(RedisModule_CreateDataType(context.raw, NAME.as_ptr(), ENCODING_VERSION, &mut methods));
    HANDLE.store(handle, Ordering::Relaxed);
    !handle.is_null()
}

guarded! {
    fn rdb_load(io: *mut raw::RedisModuleIO, version: c_int) -> *mut c_void, else { std::ptr::null_mut() } {
        match load(io, version) {
            Ok(entry) => Box::into_raw(Box::new(entry)).cast(),
            Err(why) => {
                log::unreadable_entry(&why);
                std::ptr::null_mut()
            }
        }
    }
}

fn load(io: *mut raw::RedisModuleIO, version: c_int) -> Result<Entry, String> {
    if version != ENCODING_VERSION {
        return Err(format!("encoding {version}, this module reads {ENCODING_VERSION}"));
    }
    let header = LoadedString::from(io)?;
    let header = codec::decode(header.bytes()).map_err(|malformed| malformed.to_string())?;
    let value = match header.value {
        ValuePart::Absent => None,
        ValuePart::Carried => Some(Arc::from(LoadedString::from(io)?.bytes())),
        ValuePart::Kept => return Err("a header without its value".to_owned()),
    };
    let context = call!(RedisModule_GetContextFromIO(io));
    // SAFETY: the context of the load that is running.
    let context = unsafe { Context::new(context) };
    let db = call!(RedisModule_GetDbIdFromIO(io));
    let name = call!(RedisModule_GetKeyNameFromIO(io));
    // SAFETY: the server's own name of the key, alive during this call.
    let name = (!name.is_null()).then(|| unsafe { KeyName::new(name.cast_mut()) }.bytes());
    ledger::loaded(&context, u32::try_from(db).unwrap_or(0), name, header, value)
}

guarded! {
    // A file in which nothing stood for the entry could not be read at all.
    fn rdb_save(io: *mut raw::RedisModuleIO, value: *mut c_void), else {
        let nothing = &codec::NOTHING;
        catch("rdb_save", || call!(RedisModule_SaveStringBuffer(io, nothing.as_ptr().cast(), nothing.len())));
    } {
        // SAFETY: the stored value of this callback.
        if let Some(entry) = unsafe { entry(value) } {
            let (part, value) = stored(entry);
            let header = codec::encode(entry, part, None);
            call!(RedisModule_SaveStringBuffer(io, header.as_ptr().cast(), header.len()));
            if let Some(value) = value {
                call!(RedisModule_SaveStringBuffer(io, value.as_ptr().cast(), value.len()));
            }
        }
    }
}

guarded! {
    // The server adds the key's own deadline by PEXPIREAT after this.
    fn aof_rewrite(io: *mut raw::RedisModuleIO, key: *mut raw::RedisModuleString, value: *mut c_void), else {} {
        // SAFETY: the stored value of this callback.
        if let Some(entry) = unsafe { entry(value) } {
            let (part, value) = stored(entry);
            let header = codec::encode(entry, part, None);
            let name = c"CACHE.APPLY".as_ptr();
            let (head, head_len) = (header.as_ptr(), header.len());
            match value {
                Some(value) => call!(RedisModule_EmitAOF(
                    io, name, c"sbb".as_ptr(), key, head, head_len, value.as_ptr(), value.len()
                )),
                None => call!(RedisModule_EmitAOF(io, name, c"sb".as_ptr(), key, head, head_len)),
            }
        }
    }
}

guarded! {
    fn digest(digest: *mut raw::RedisModuleDigest, value: *mut c_void), else {} {
        // SAFETY: the stored value of this callback.
        if let Some(entry) = unsafe { entry(value) } {
            let mut entry = entry.clone();
            let db = call!(RedisModule_GetDbIdFromDigest(digest));
            entry.settle(u32::try_from(db).unwrap_or(0));
            let (part, value) = stored(&entry);
            let header = codec::encode(&entry, part, None);
            call!(RedisModule_DigestAddStringBuffer(digest, header.as_ptr().cast(), header.len()));
            if let Some(value) = value {
                call!(RedisModule_DigestAddStringBuffer(digest, value.as_ptr().cast(), value.len()));
            }
            call!(RedisModule_DigestEndSequence(digest));
        }
    }
}

guarded! {
    fn mem_usage(value: *const c_void) -> usize, else { 0 } {
        // SAFETY: the stored value of this callback.
        unsafe { entry(value) }.map_or(0, |entry| size_of::<Entry>().saturating_add(entry.heap_bytes()))
    }
}

guarded! {
    fn free(value: *mut c_void), else {} {
        if !value.is_null() {
            // SAFETY: the box this module made; the server calls this once for it.
            drop(unsafe { Box::from_raw(value.cast::<Entry>()) });
        }
    }
}

guarded! {
    // Above 64 the server frees on another thread. The allocations are few; what takes long is giving back the pages
    // of a large value.
    fn free_effort(_key: *mut raw::RedisModuleString, value: *const c_void) -> usize, else { 1 } {
        // SAFETY: the stored value of this callback.
        unsafe { entry(value) }.map_or(1, |entry| 1 + entry.heap_bytes() / (16 * 1024))
    }
}

guarded! {
    fn unlink(key: *mut raw::RedisModuleKeyOptCtx, value: *const c_void), else {} {
        // SAFETY: a stored value, on the main thread, which nobody else borrows: `OpenKey` is not used across calls
        // that unlink.
        if let Some(entry) = unsafe { value.cast_mut().cast::<Entry>().as_mut() } {
            if let Some(token) = entry.lease().map(|lease| lease.token) {
                let name = call!(RedisModule_GetKeyNameFromOptCtx(key));
                let db = u32::try_from(call!(RedisModule_GetDbIdFromOptCtx(key))).unwrap_or(0);
                if !name.is_null() {
                    // SAFETY: the server's own name of the key, alive during this call.
                    ledger::unlinked(db, unsafe { bytes(name) }, token);
                }
                entry.void_lease();
            }
        }
    }
}

guarded! {
    // The value travels, the lease does not.
    fn copy(_keys: *mut raw::RedisModuleKeyOptCtx, value: *const c_void) -> *mut c_void, else {
        std::ptr::null_mut()
    } {
        // SAFETY: the stored value of this callback.
        let Some(entry) = (unsafe { entry(value) }) else { return std::ptr::null_mut() };
        let mut copied = entry.clone();
        copied.void_lease();
        Box::into_raw(Box::new(copied)).cast()
    }
}

/// A string read from a payload, freed on drop.
struct LoadedString {
    start: *mut c_char,
    length: usize,
}

impl LoadedString {
    fn from(io: *mut raw::RedisModuleIO) -> Result<Self, String> {
        let mut length = 0;
        let start = call!(RedisModule_LoadStringBuffer(io, &mut length));
        match start.is_null() || call!(RedisModule_IsIOError(io)) != 0 {
            true => Err("payload ends early".to_owned()),
            false => Ok(Self { start, length }),
        }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the server's buffer of that length, freed by our drop only.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.length) }
    }
}

impl Drop for LoadedString {
    fn drop(&mut self) {
        call!(RedisModule_Free(self.start.cast()));
    }
}

/// # Safety
/// A stored value (see the contract), which nobody changes or frees during `'a`.
unsafe fn entry<'a>(value: *const c_void) -> Option<&'a Entry> {
    // SAFETY: the caller's promise.
    unsafe { value.cast::<Entry>().as_ref() }
}

fn stored(entry: &Entry) -> (ValuePart, Option<&Arc<[u8]>>) {
    match entry.value() {
        Some(value) => (ValuePart::Carried, Some(value)),
        None => (ValuePart::Absent, None),
    }
}
