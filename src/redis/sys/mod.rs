//! The only unsafe code: each call of the server's API, behind a function that is safe to call.
//!
//! # Safety contract
//!
//! What makes these calls sound is the same everywhere, and each file adds only what is particular to it:
//!
//! 1. **One thread.** The server calls its modules on the main thread, with its lock held, and nothing here starts
//!    another. The one exception, `free` of the data type, touches only the entry it is given.
//! 2. **Contexts do not outlive their callback.** [`Context`] is made from the pointer a callback was given, has no
//!    public constructor, and is handed out by reference.
//! 3. **Function pointers are filled in once**, by the server, before any of this runs. A missing one is a missing
//!    feature: `has` asks, and [`call!`] panics into the guard rather than jumping to null.
//! 4. **Pointers given to the server are valid for the call.** Each is one that the server gave to the running callback,
//!    one that a value of ours owns (a string, a reply, a handle, an open key) and frees on drop, or one to a borrow or
//!    a literal that outlives the call; lengths are those of what they belong to. Where a call relies on more, the
//!    place says so.

#![allow(unsafe_code, reason = "the one room where the server's C API is called")]

pub mod argv;
pub mod blocked;
pub mod command;
pub mod config;
pub mod context;
pub mod data_type;
pub mod event;
pub mod info;
pub mod key;
pub mod module;
pub mod reply;
pub mod timer;
pub mod words;

pub use argv::{Argv, KeyName};
pub use context::Context;

use super::{guard, scheduler};

/// Calls one function of the server's API.
macro_rules! call {
    ($name:ident($($argument:expr),* $(,)?)) => {{
        // SAFETY: a plain read of a pointer that was written once, at load (contract 3).
        let function = unsafe { redis_module::raw::$name };
        match function {
            // SAFETY: the pointers are valid for this call (contract 4), on the one thread (contract 1).
            Some(function) => unsafe { function($($argument),*) },
            None => $crate::redis::sys::missing(stringify!($name)),
        }
    }};
}
use call;

/// Whether the server has a function of the API.
macro_rules! has {
    ($name:ident) => {{
        // SAFETY: as in `call!`.
        let function = unsafe { redis_module::raw::$name };
        function.is_some()
    }};
}
use has;

/// Ends in the guard of whatever callback called.
#[cold]
#[allow(clippy::panic, reason = "the guard turns it into an error reply; jumping to null would end the server")]
fn missing(name: &'static str) -> ! {
    panic!("this server has no {name}")
}

/// The fallback of a callback that panicked: has the scheduler see to whoever waits.
fn recover(context: *mut redis_module::raw::RedisModuleCtx) {
    // SAFETY: the context of the callback whose fallback this is.
    guard::catch("recover", || scheduler::arm(&unsafe { Context::new(context) }));
}
