//! Loading: from the crate's entry to ours.

use redis_module::{raw, RedisString, Status};

use super::{call, data_type, has, info, Argv, Context};
use crate::redis::{guard, log};

/// Runs `start` behind the guard with the server's context and the arguments of loadmodule.
pub fn load(
    context: &redis_module::Context,
    arguments: &[RedisString],
    start: fn(&Context, Argv) -> Result<(), String>,
) -> Status {
    guard::install_hook();
    let strings: Vec<*mut raw::RedisModuleString> = arguments.iter().map(|argument| argument.inner).collect();
    let started = guard::catch("load", || {
        // SAFETY: the context of RedisModule_OnLoad.
        let context = unsafe { Context::new(context.ctx) };
        // SAFETY: its arguments, which outlive this call.
        let arguments = unsafe { Argv::whole(&strings) };
        start(&context, arguments)
    });
    match started {
        Some(Ok(())) => {
            log::loaded();
            Status::Ok
        }
        Some(Err(why)) => {
            log::cannot_load(&why);
            Status::Err
        }
        None => Status::Err,
    }
}

/// The data type, the options and INFO: what belongs to the module as a whole.
pub fn register_parts(context: &Context) -> Result<(), String> {
    super::context::look_up();
    for command in [c"GET", c"EXISTS", c"SETRANGE"] {
        if !context.has_command(command) {
            let name = command.to_string_lossy();
            return Err(format!("this server has no command {name}, which Corral calls: take its rename-command away"));
        }
    }
    let options = raw::REDISMODULE_OPTIONS_HANDLE_IO_ERRORS
        | raw::REDISMODULE_OPTION_NO_IMPLICIT_SIGNAL_MODIFIED
        | raw::REDISMODULE_OPTIONS_HANDLE_REPL_ASYNC_LOAD
        | if is_valkey() { VALKEY_HANDLE_ATOMIC_SLOT_MIGRATION } else { 0 };
    call!(RedisModule_SetModuleOptions(context.raw, options as i32));
    if !data_type::register(context) {
        return Err("the server declined the data type".to_owned());
    }
    if !info::register(context) {
        return Err("the server declined the INFO section".to_owned());
    }
    Ok(())
}

/// Valkey 9's option, which other servers number otherwise. Without it, atomic slot migration is refused for the whole
/// server; with it, entries travel by `aof_rewrite` and `CACHE.APPLY` like any replicated effect.
const VALKEY_HANDLE_ATOMIC_SLOT_MIGRATION: u32 = 1 << 5;

/// Whether the server has the API under Valkey's names: Valkey answers with Redis's version numbers.
fn is_valkey() -> bool {
    let mut function: *mut std::ffi::c_void = std::ptr::null_mut();
    let out = std::ptr::from_mut(&mut function).cast();
    has!(RedisModule_GetApi) && call!(RedisModule_GetApi(c"ValkeyModule_Alloc".as_ptr(), out)) == super::context::OK
}
