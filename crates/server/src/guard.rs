//! The guard at the server's boundary.
//!
//! A panic that reaches the server's C code aborts it, and a server that crashes loses its owner's data. So every
//! function the server calls is declared by `guarded!`, which catches the panic, tells [`Module::panicked`] and returns
//! the fallback that the declaration names. The one other `extern "C"` function is the library's entry (`library!`), whose
//! work is done behind the same guard.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

use redis_module::raw;

use crate::{Context, Module};

/// Declares a function that the server calls. The first type parameter is the module.
///
/// ```text
/// guarded! { fn name<M: Module>(argument: Type) -> Return, else fallback { body } }
/// ```
///
/// The fallback is evaluated outside the guard: it must not panic.
macro_rules! guarded {
    ($(#[$attribute:meta])* fn $name:ident <$module:ident: Module $(, $generic:ident: $bound:path)*> (
        $($argument:ident: $kind:ty),* $(,)?
    ) $(-> $result:ty)?, else $fallback:block $body:block) => {
        $(#[$attribute])*
        unsafe extern "C" fn $name <$module: $crate::Module $(, $generic: $bound)*>
            ($($argument: $kind),*) $(-> $result)?
        {
            match $crate::guard::catch::<$module, _>(stringify!($name), || $body) {
                Some(result) => result,
                None => $fallback,
            }
        }
    };
}

/// Declares the library's entry, and the server's allocator as its own. Not in test builds: there is no server.
///
/// The crate's own macro registers much that is not used here, and has every server but Redis 8 log a warning that it
/// cannot register a callback which nobody has.
#[macro_export]
macro_rules! library {
    ($module:ty, name: $name:literal, version: $version:literal, start: $start:path) => {
        #[global_allocator]
        static ALLOCATOR: $crate::module::Allocator = $crate::module::ALLOCATOR;

        /// What the server looks for. A panic is caught in `load`.
        #[no_mangle]
        #[allow(non_snake_case)]
        unsafe extern "C" fn RedisModule_OnLoad(
            context: *mut $crate::module::RawContext,
            arguments: *mut *mut $crate::module::RawString,
            count: ::std::ffi::c_int,
        ) -> ::std::ffi::c_int {
            unsafe { $crate::module::load::<$module>(context, (arguments, count), ($name, $version), $start) }
        }
    };
}

/// Runs `body`; `None` if it panicked.
pub(crate) fn catch<M: Module, R>(place: &'static str, body: impl FnOnce() -> R) -> Option<R> {
    // Unwind safety: what a panic may leave half done is the module's own memory, and `panicked` is told.
    let body = || {
        #[cfg(feature = "faults")]
        crate::faults::strike(place);
        body()
    };
    match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => Some(result),
        Err(payload) => {
            // The payload's own drop could panic in turn; it is a message, and leaking it once is harmless.
            std::mem::forget(payload);
            if let Err(again) = panic::catch_unwind(|| M::panicked(place, &LAST_PANIC.take())) {
                std::mem::forget(again);
            }
            None
        }
    }
}

/// The fallback of a callback that panicked: has the module see to whoever waits.
pub(crate) fn recover<M: Module>(context: *mut raw::RedisModuleCtx) {
    // SAFETY: the context of the callback whose fallback this is.
    catch::<M, _>("recover", || M::recover(&unsafe { Context::new(context) }));
}

/// Replaces the default panic hook: with RUST_BACKTRACE set that one walks the stack, which has crashed a server, and
/// it writes to a stderr nobody reads.
pub(crate) fn install_hook() {
    panic::set_hook(Box::new(|panic| {
        let text = panic.to_string();
        // A panic while the thread ends has nowhere to be noted, and must not panic again for it.
        let _ = LAST_PANIC.try_with(|last| last.set(text));
    }));
}

thread_local! {
    static LAST_PANIC: Cell<String> = const { Cell::new(String::new()) };
}
