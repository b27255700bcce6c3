//! The module that is built on this crate: what it must be able to do, and how it is loaded.

use std::ffi::{c_int, CStr};

use redis_module::raw;

use crate::api::{ERR, OK};
use crate::event::{self, Event};
use crate::info::Section;
use crate::payload::{Digested, LoadedKey, Payload, Rewritten, Saved};
use crate::{blocked, command, context, data_type, guard, info, log, Argv, Context};

/// Everything that comes in from the server. One type of a library implements it.
///
/// Each function runs behind a guard: a panic ends in [`Module::panicked`] and a fallback, never in the server.
pub trait Module: Sized + 'static {
    /// The stored value, boxed in the keyspace. `Send`: the server may drop it on another thread.
    type Entry: Send + 'static;
    /// What travels to one released client.
    type Delivery: 'static;

    /// Nine characters, as the server demands; what TYPE and SCAN TYPE call an entry.
    const TYPE_NAME: &'static CStr;
    /// The newest encoding of an RDB payload, the one that is written; [`Module::load`] reads older ones too.
    const TYPE_VERSION: i32;
    /// The command by which an entry is rebuilt from an AOF: `APPLY key argument [argument]`.
    const APPLY: &'static CStr;
    /// An ACL category for all commands of the module, where the server lets a module add one (Redis 7.4, Valkey 8).
    const ACL_CATEGORY: Option<&'static CStr> = None;
    /// The answer of a callback that panicked.
    const INTERNAL: &'static CStr =
        c"ERR internal error in Corral, see the server's log; the call may have taken effect or not, ask again";

    // What the server tells. These run in the middle of the server's own work: they change the module's memory and
    // start its timer, and call nothing that writes, deletes or opens a key.

    fn event(context: &Context, event: Event);

    /// The timer of [`timer::start`](crate::timer::start) rang. It is over, and must not be stopped any more.
    fn timer(context: &Context);

    /// [`Module::timer`] panicked, perhaps before it noted that its timer is over.
    fn recover_timer(context: &Context) {
        Self::recover(context);
    }

    /// Several settings were changed by one CONFIG SET, all of them before this is called, which is once for each.
    /// An error has the server set all of them back and call this again. Not called at load.
    fn settings_changed(_context: &Context) -> Result<(), String> {
        Ok(())
    }

    /// A panic was caught in `place`: what the module remembers may be half done. On the main thread, but for `free`.
    fn panicked(place: &'static str, message: &str);

    /// The fallback of a callback that panicked: have the timer see to whoever waits.
    fn recover(context: &Context);

    // Parked clients (see `blocked`).

    /// Writes the reply. The client is connected.
    fn deliver(context: &Context, delivery: &mut Self::Delivery);

    /// The delivery's end, whether or not it was delivered: the client may have gone in between. Touches no key: the
    /// context may have no client.
    fn discard(context: &Context, delivery: Self::Delivery);

    /// The server ends the wait of this client (CLIENT UNBLOCK): writes its reply and returns its handle.
    fn time_out(context: &Context, seat: blocked::Seat) -> Option<blocked::Handle<Self>>;

    /// The server has ended the wait of this client: it is gone, or was given an error. Returns its handle.
    fn leave(context: &Context, seat: blocked::Seat) -> Option<blocked::Handle<Self>>;

    // The data type (see `data_type`).

    /// Reads an entry from an RDB file, a full synchronisation or RESTORE.
    fn load(context: &Context, payload: &mut Payload, from: LoadedKey) -> Result<Self::Entry, String>;

    /// Writes what `load` reads. In a fork child, or for DUMP.
    fn save(entry: &Self::Entry, db: u32, out: &mut Saved);

    /// Writes what stands for an entry whose `save` panicked before it wrote anything: a file in which nothing stands
    /// for it could not be read at all.
    fn save_nothing(out: &mut Saved);

    /// Writes the arguments of [`Module::APPLY`] after the key. The server adds the key's own deadline by PEXPIREAT.
    fn rewrite(entry: &Self::Entry, db: u32, out: &mut Rewritten);

    /// What DEBUG DIGEST compares.
    fn digest(entry: &Self::Entry, db: u32, out: &mut Digested);

    /// All memory of an entry, `size_of::<Entry>()` included.
    fn memory_bytes(entry: &Self::Entry) -> usize;

    /// How long freeing takes: above 64 the server frees on another thread.
    fn free_effort(entry: &Self::Entry) -> usize;

    /// The entry is leaving the keyspace, or its name: after RENAME and MOVE it lives on elsewhere. Not told by FLUSHALL,
    /// SWAPDB and a trimmed slot.
    fn unlinked(db: u32, key: &[u8], entry: &mut Self::Entry);

    /// The other entry of a COPY.
    fn copied(entry: &Self::Entry) -> Self::Entry;

    /// Writes what is kept beside the keys, before them. Where nothing is written, the file does not need the module.
    /// Called by servers with aux_save2 only (7.2): the older form always leaves a mark in the file.
    fn save_aux(_out: &mut Saved) {}

    /// Reads what `save_aux` wrote, whichever server wrote it.
    fn load_aux(payload: &mut Payload) -> Result<(), String> {
        let _ = payload;
        Err("data beside the keys, of which this module knows nothing".to_owned())
    }

    /// Fills the module's section of INFO. A crash report asks too, possibly from the middle of one of our own callbacks
    /// or of the server's: then as little as possible is touched.
    fn info(section: &Section, for_crash_report: bool);
}

/// What [`library!`](crate::library) names.
pub use redis_module::alloc::RedisAlloc as Allocator;
pub use redis_module::raw::{RedisModuleCtx as RawContext, RedisModuleString as RawString};
pub const ALLOCATOR: Allocator = redis_module::alloc::RedisAlloc;

/// The library's entry: takes the server's API, registers what belongs to the module as a whole, has `start` register
/// commands and settings, then subscribes to events. The server drops what a failed load has registered.
///
/// # Safety
/// Called by [`library!`](crate::library) with what the server gave to RedisModule_OnLoad.
pub unsafe fn load<M: Module>(
    context: *mut RawContext,
    (arguments, count): (*mut *mut RawString, c_int),
    (name, version): (&'static CStr, c_int),
    start: fn(&Context, Argv) -> Result<(), String>,
) -> c_int {
    // Before anything allocates: that is done by the server.
    // SAFETY: the context of RedisModule_OnLoad.
    let taken =
        unsafe { raw::Export_RedisModule_Init(context, name.as_ptr(), version, raw::REDISMODULE_APIVER_1 as c_int) };
    if taken != OK {
        // The API is there, and the one thing that is asked of it is whether the name is free.
        log::write(log::WARNING, "cannot be loaded: a module of this name is loaded already, this or an older Corral");
        return ERR;
    }
    guard::install_hook();
    let started = guard::catch::<M, _>("load", || {
        // SAFETY: the context of RedisModule_OnLoad.
        let context = unsafe { Context::new(context) };
        let count = usize::try_from(count).unwrap_or(0);
        // SAFETY: the server's array of that length; it may be null if it is empty.
        let strings = if count == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(arguments, count) } };
        // SAFETY: its arguments, which outlive this call.
        let arguments = unsafe { Argv::whole(strings) };
        register_parts::<M>(&context)?;
        start(&context, arguments)?;
        // Last, when nothing can fail any more: 7.0 goes on to call a module that was not loaded.
        event::subscribe::<M>(&context);
        Ok::<(), String>(())
    });
    match started {
        Some(Ok(())) => OK,
        Some(Err(why)) => {
            log::write(log::WARNING, &format!("cannot be loaded: {why}"));
            ERR
        }
        None => ERR,
    }
}

fn register_parts<M: Module>(context: &Context) -> Result<(), String> {
    context::look_up();
    // The one command of the server's that is called and has no substitute (see `text`).
    if !context.has_command(c"GET") {
        return Err("this server has no command GET, which is called here: take its rename-command away".to_owned());
    }
    let options = raw::REDISMODULE_OPTIONS_HANDLE_IO_ERRORS
        | raw::REDISMODULE_OPTION_NO_IMPLICIT_SIGNAL_MODIFIED
        | raw::REDISMODULE_OPTIONS_HANDLE_REPL_ASYNC_LOAD
        | if is_valkey() { VALKEY_HANDLE_ATOMIC_SLOT_MIGRATION } else { 0 };
    call!(RedisModule_SetModuleOptions(context.raw, options as i32));
    data_type::register::<M>(context)?;
    if !info::register::<M>(context) {
        return Err("the server declined the INFO section".to_owned());
    }
    command::add_acl_category::<M>(context)
}

/// Valkey 9's option, which other servers number otherwise. Without it, atomic slot migration is refused for the whole
/// server; with it, entries travel by `aof_rewrite` and `APPLY` like any replicated effect.
const VALKEY_HANDLE_ATOMIC_SLOT_MIGRATION: u32 = 1 << 5;

/// Whether the server has the API under Valkey's names: Valkey answers with Redis's version numbers.
fn is_valkey() -> bool {
    let mut function: *mut std::ffi::c_void = std::ptr::null_mut();
    let out = std::ptr::from_mut(&mut function).cast();
    has!(RedisModule_GetApi) && call!(RedisModule_GetApi(c"ValkeyModule_Alloc".as_ptr(), out)) == OK
}
