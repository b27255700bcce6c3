//! The guard at the server's boundary.
//!
//! A panic that reaches the server's C code aborts it, and a server that crashes loses its owner's data. So every
//! function the server calls is declared by [`guarded!`], which catches the panic, counts it and returns the fallback
//! that the declaration names. There is no other way to declare an `extern "C"` function here (`make check` looks).

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

use super::stats::STATS;
use super::{log, scheduler};

/// Declares a function that the server calls.
///
/// ```text
/// guarded! { fn name<T: Bound>(argument: Type) -> Return, else fallback { body } }
/// ```
///
/// The fallback is evaluated outside the guard: it must not panic.
macro_rules! guarded {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident $(<$generic:ident: $bound:path>)? (
        $($argument:ident: $kind:ty),* $(,)?
    ) $(-> $result:ty)?, else $fallback:block $body:block) => {
        $(#[$attribute])*
        $visibility unsafe extern "C" fn $name $(<$generic: $bound>)? ($($argument: $kind),*) $(-> $result)? {
            match $crate::redis::guard::catch(stringify!($name), || $body) {
                Some(result) => result,
                None => $fallback,
            }
        }
    };
}
pub(super) use guarded;

/// Runs `body`; `None` if it panicked.
pub(super) fn catch<R>(place: &'static str, body: impl FnOnce() -> R) -> Option<R> {
    // Unwind safety: what a panic may leave half done is the module's own memory. `scheduler::distrust` has every
    // waiter answered with an error on the next turn, so none depends on it.
    let body = || {
        #[cfg(feature = "faults")]
        super::faults::strike(place);
        body()
    };
    match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => Some(result),
        Err(payload) => {
            // The payload's own drop could panic in turn; it is a message, and leaking it once is harmless.
            std::mem::forget(payload);
            STATS.panics_caught.add(1);
            let _ = panic::catch_unwind(AssertUnwindSafe(|| {
                log::panic_caught(place, &LAST_PANIC.take());
                scheduler::distrust();
            }));
            None
        }
    }
}

/// Replaces the default panic hook: with RUST_BACKTRACE set that one walks the stack, which has crashed a server, and
/// it writes to a stderr nobody reads.
pub fn install_hook() {
    panic::set_hook(Box::new(|panic| {
        LAST_PANIC.set(panic.to_string());
    }));
}

thread_local! {
    static LAST_PANIC: Cell<String> = const { Cell::new(String::new()) };
}
