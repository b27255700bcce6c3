//! The data type: how entries are stored, loaded, copied, counted and freed.
//!
//! # Safety contract
//!
//! A stored value is the `Box<M::Entry>` that `OpenKey::put`, `rdb_load` or `copy` made; the server gives the same
//! pointer to every callback here and calls `free` once. `free` may run on another thread, after the key is gone from
//! the keyspace: it drops the entry and touches nothing else, so an entry holds nothing that only the main thread may
//! drop. `unlink` runs on the main thread and must not write, delete or open keys; it may find the entry alive
//! afterwards (RENAME, MOVE). One module owns the type (contract 5 of the crate), so that a pointer found under it is
//! one to its entry.

use std::any::TypeId;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use std::sync::OnceLock;

use redis_module::raw;

use crate::api::{ERR, OK};
use crate::argv::bytes;
use crate::guard::catch;
use crate::payload::{Digested, LoadedKey, Payload, Rewritten, Saved};
use crate::{log, Context, Module};

static HANDLE: AtomicPtr<raw::RedisModuleType> = AtomicPtr::new(null_mut());

/// The module that the type belongs to. Apart from the handle, which is another one after a load that failed.
static OWNER: OnceLock<TypeId> = OnceLock::new();

/// The handle of `M`'s type, once it is registered.
#[inline]
pub(crate) fn handle<M: Module>() -> Option<*mut raw::RedisModuleType> {
    let handle = HANDLE.load(Relaxed);
    (!handle.is_null() && OWNER.get() == Some(&TypeId::of::<M>())).then_some(handle)
}

/// Registers the type.
pub(crate) fn register<M: Module>(context: &Context) -> Result<(), String> {
    if *OWNER.get_or_init(TypeId::of::<M>) != TypeId::of::<M>() {
        return Err("this library has the data type of another module".to_owned());
    }
    // Since 5 (7.2) there is an aux_save that leaves no trace where it writes nothing. The older one always does, and
    // such a file cannot be read without the module: below 5 nothing is saved beside the keys, but what others saved
    // is read.
    let has_aux_save2 = call!(RedisModule_GetTypeMethodVersion()) >= METHODS_WITH_AUX_SAVE2;
    let mut methods = raw::RedisModuleTypeMethods {
        // Servers read as many fields as the version has.
        version: if has_aux_save2 { METHODS_WITH_AUX_SAVE2 } else { METHODS_OF_7_0 } as u64,
        rdb_load: Some(rdb_load::<M>),
        rdb_save: Some(rdb_save::<M>),
        aof_rewrite: Some(aof_rewrite::<M>),
        mem_usage: Some(mem_usage::<M>),
        digest: Some(digest::<M>),
        free: Some(free::<M>),
        aux_load: Some(aux_load::<M>),
        // None: see above.
        aux_save: None,
        aux_save2: if has_aux_save2 { Some(aux_save::<M>) } else { None },
        aux_save_triggers: raw::REDISMODULE_AUX_BEFORE_RDB as c_int,
        free_effort: Some(free_effort::<M>),
        // None where the newer form of the same callback below is given.
        unlink: None,
        copy: None,
        mem_usage2: None,
        free_effort2: None,
        unlink2: Some(unlink::<M>),
        copy2: Some(copy::<M>),
        // None: an entry is a few small allocations; active defragmentation skips it.
        defrag: None,
    };
    let handle = call!(RedisModule_CreateDataType(context.raw, M::TYPE_NAME.as_ptr(), M::TYPE_VERSION, &mut methods));
    HANDLE.store(handle, Relaxed);
    if handle.is_null() {
        let name = M::TYPE_NAME.to_string_lossy();
        return Err(format!("the server declined the data type {name}: perhaps another module has one of that name"));
    }
    Ok(())
}

const METHODS_OF_7_0: c_int = 4;
const METHODS_WITH_AUX_SAVE2: c_int = 5;

guarded! {
    fn rdb_load<M: Module>(io: *mut raw::RedisModuleIO, version: c_int) -> *mut c_void, else { null_mut() } {
        // An encoding newer than ours: the file was written by a newer module.
        let entry = if version > M::TYPE_VERSION {
            Err(format!("encoding {version}, this module reads up to {}", M::TYPE_VERSION))
        } else {
            load::<M>(io, version)
        };
        match entry {
            Ok(entry) => Box::into_raw(Box::new(entry)).cast(),
            Err(why) => {
                log::write(log::WARNING, &format!("an entry cannot be read: {why}"));
                null_mut()
            }
        }
    }
}

fn load<M: Module>(io: *mut raw::RedisModuleIO, encoding: c_int) -> Result<M::Entry, String> {
    let context = call!(RedisModule_GetContextFromIO(io));
    // SAFETY: the context of the load that is running.
    let context = unsafe { Context::new(context) };
    let name = call!(RedisModule_GetKeyNameFromIO(io));
    // SAFETY: the server's own name of the key, alive during this call.
    let key = (!name.is_null()).then(|| unsafe { bytes(name) });
    let flags = context.flags();
    let from =
        LoadedKey { db: db_of(io), key, encoding, is_async: flags.is_async_loading(), is_loading: flags.is_loading() };
    M::load(&context, &mut Payload { io }, from)
}

fn db_of(io: *mut raw::RedisModuleIO) -> u32 {
    u32::try_from(call!(RedisModule_GetDbIdFromIO(io))).unwrap_or(0)
}

guarded! {
    fn rdb_save<M: Module>(io: *mut raw::RedisModuleIO, value: *mut c_void), else {
        // Before anything was written: see the inner guard.
        catch::<M, _>("save_nothing", || M::save_nothing(&mut Saved { io, strings: 0 }));
    } {
        // SAFETY: the stored value of this callback.
        if let Some(entry) = unsafe { entry::<M>(value) } {
            let mut out = Saved { io, strings: 0 };
            let saved = catch::<M, _>("save", || M::save(entry, db_of(io), &mut out));
            // After the first string there is no way back: `save` prepares all it writes before.
            if saved.is_none() && out.strings == 0 {
                catch::<M, _>("save_nothing", || M::save_nothing(&mut out));
            }
        }
    }
}

guarded! {
    // Nothing is written, which is a file without data beside its keys.
    fn aux_save<M: Module>(io: *mut raw::RedisModuleIO, _when: c_int), else {} {
        M::save_aux(&mut Saved { io, strings: 0 });
    }
}

guarded! {
    fn aux_load<M: Module>(io: *mut raw::RedisModuleIO, version: c_int, _when: c_int) -> c_int, else { ERR } {
        let loaded = if version > M::TYPE_VERSION {
            Err(format!("encoding {version}, this module reads up to {}", M::TYPE_VERSION))
        } else {
            M::load_aux(&mut Payload { io })
        };
        match loaded {
            Ok(()) => OK,
            Err(why) => {
                log::write(log::WARNING, &format!("the data beside the keys cannot be read: {why}"));
                ERR
            }
        }
    }
}

guarded! {
    fn aof_rewrite<M: Module>(
        io: *mut raw::RedisModuleIO,
        key: *mut raw::RedisModuleString,
        value: *mut c_void,
    ), else {} {
        // SAFETY: the stored value of this callback.
        if let Some(entry) = unsafe { entry::<M>(value) } {
            M::rewrite(entry, db_of(io), &mut Rewritten { io, key, command: M::APPLY });
        }
    }
}

guarded! {
    fn digest<M: Module>(digest: *mut raw::RedisModuleDigest, value: *mut c_void), else {} {
        // SAFETY: the stored value of this callback.
        if let Some(entry) = unsafe { entry::<M>(value) } {
            let db = u32::try_from(call!(RedisModule_GetDbIdFromDigest(digest))).unwrap_or(0);
            M::digest(entry, db, &mut Digested { raw: digest });
            call!(RedisModule_DigestEndSequence(digest));
        }
    }
}

guarded! {
    fn mem_usage<M: Module>(value: *const c_void) -> usize, else { 0 } {
        // SAFETY: the stored value of this callback.
        unsafe { entry::<M>(value) }.map_or(0, M::memory_bytes)
    }
}

guarded! {
    fn free<M: Module>(value: *mut c_void), else {} {
        if !value.is_null() {
            // SAFETY: the box this module made; the server calls this once for it.
            drop(unsafe { Box::from_raw(value.cast::<M::Entry>()) });
        }
    }
}

guarded! {
    fn free_effort<M: Module>(_key: *mut raw::RedisModuleString, value: *const c_void) -> usize, else { 1 } {
        // SAFETY: the stored value of this callback.
        unsafe { entry::<M>(value) }.map_or(1, M::free_effort)
    }
}

guarded! {
    fn unlink<M: Module>(key: *mut raw::RedisModuleKeyOptCtx, value: *const c_void), else {} {
        // SAFETY: a stored value, on the main thread, which nobody else borrows: `OpenKey` is not used across calls
        // that unlink.
        if let Some(entry) = unsafe { value.cast_mut().cast::<M::Entry>().as_mut() } {
            let name = call!(RedisModule_GetKeyNameFromOptCtx(key));
            let db = u32::try_from(call!(RedisModule_GetDbIdFromOptCtx(key))).unwrap_or(0);
            // SAFETY: the server's own name of the key, alive during this call.
            let name = if name.is_null() { &[] } else { unsafe { bytes(name) } };
            M::unlinked(db, name, entry);
        }
    }
}

guarded! {
    fn copy<M: Module>(_keys: *mut raw::RedisModuleKeyOptCtx, value: *const c_void) -> *mut c_void, else {
        null_mut()
    } {
        // SAFETY: the stored value of this callback.
        unsafe { entry::<M>(value) }.map_or(null_mut(), |entry| Box::into_raw(Box::new(M::copied(entry))).cast())
    }
}

/// # Safety
/// A stored value (see the contract), which nobody changes or frees during `'a`.
unsafe fn entry<'a, M: Module>(value: *const c_void) -> Option<&'a M::Entry> {
    // SAFETY: the caller's promise.
    unsafe { value.cast::<M::Entry>().as_ref() }
}
