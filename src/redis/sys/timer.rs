//! Timers of the server's event loop.

use std::ffi::c_void;

use redis_module::raw;

use super::{call, Context};
use crate::redis::guard::{catch, guarded};

/// A timer that has not fired yet.
#[derive(PartialEq, Eq, Debug)]
pub struct Timer(raw::RedisModuleTimerID);

/// What a timer does.
pub trait Alarm {
    fn ring(context: &Context);

    /// Runs when `ring` panicked: whatever it was to start next must be started all the same.
    fn recover(context: &Context);
}

/// Rings in `ms`; never early, and at the earliest on the event loop's next turn.
pub fn start<A: Alarm>(context: &Context, ms: u64) -> Timer {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timer(call!(RedisModule_CreateTimer(context.raw, ms, Some(ring::<A>), std::ptr::null_mut())))
}

/// Stops a timer that has not fired: one that is firing must not be stopped, so an alarm forgets its timer first.
pub fn stop(context: &Context, timer: Timer) {
    call!(RedisModule_StopTimer(context.raw, timer.0, std::ptr::null_mut()));
}

guarded! {
    fn ring<A: Alarm>(context: *mut raw::RedisModuleCtx, _data: *mut c_void), else {
        // SAFETY: the context of this callback.
        catch("recover", || A::recover(&unsafe { Context::new(context) }));
    } {
        // SAFETY: the context of this callback.
        A::ring(&unsafe { Context::new(context) });
    }
}
