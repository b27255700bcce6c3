//! Timers of the server's event loop.

use std::ffi::c_void;

use redis_module::raw;

use crate::guard::catch;
use crate::{Context, Module};

/// A timer that has not rung yet.
#[derive(PartialEq, Eq, Debug)]
pub struct Timer(raw::RedisModuleTimerID);

/// Has [`Module::timer`] called in `ms`; never early, and at the earliest on the event loop's next turn.
pub fn start<M: Module>(context: &Context, ms: u64) -> Timer {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timer(call!(RedisModule_CreateTimer(context.raw, ms, Some(timer::<M>), std::ptr::null_mut())))
}

/// Stops a timer that has not rung: one that is ringing must not be stopped, so [`Module::timer`] forgets its timer
/// first. A timer that is over is left alone by the server, which knows it by its number.
pub fn stop(context: &Context, timer: Timer) {
    call!(RedisModule_StopTimer(context.raw, timer.0, std::ptr::null_mut()));
}

guarded! {
    fn timer<M: Module>(context: *mut raw::RedisModuleCtx, _data: *mut c_void), else {
        // SAFETY: the context of this callback.
        catch::<M, _>("recover", || M::recover_timer(&unsafe { Context::new(context) }));
    } {
        // SAFETY: the context of this callback.
        M::timer(&unsafe { Context::new(context) });
    }
}
