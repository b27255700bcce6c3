//! Parked clients.
//!
//! # Safety contract
//!
//! The server gives a handle for each parked client and asks for exactly one RM_UnblockClient: none leaks 35 KB, two
//! are a use after free. [`Handle`] is not `Clone`, and releasing consumes it; so whoever owns the handle decides,
//! once. A handle that is dropped (on the way out of a panic, say) lets its client go with an error.
//! The callbacks find the owner by the handle's address ([`Seat`]), which is unique until the handle is released and
//! the server has freed it. A callback for a handle that nobody owns any more has nothing to do.
//!
//! What is delivered travels as the handle's private data: a box that the server passes to `deliver` at most once and
//! to `discard` exactly once, both on the main thread.
//!
//! `timeout_ms` is always 0, the deadlines being ours: a time-out of the server's in the same turn as a wake loses the
//! reply on 7.0 and aborts 7.2. For the same reason 7.2 gets no timeout callback, without which the server refuses
//! CLIENT UNBLOCK on our clients.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;

use redis_module::raw;

use crate::api::OK;
use crate::guard::{catch, recover};
use crate::{Context, Module};

/// The right to release one client parked by [`park`].
#[derive(Debug)]
pub struct Handle<M: Module>(*mut raw::RedisModuleBlockedClient, PhantomData<fn(M)>);

/// Which parked client a callback is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Seat(usize);

// SAFETY: only ever used on the main thread (contract 1 of the crate); being in a static asks for the marker.
unsafe impl<M: Module> Send for Handle<M> {}

/// Parks the calling client. `None` if the server declines. Ask [`Flags::denies_blocking`](crate::Flags::denies_blocking)
/// first: parking under another module's call aborts the server.
pub fn park<M: Module>(context: &Context) -> Option<Handle<M>> {
    let on_time_out: raw::RedisModuleCmdFunc = if can_time_out() { Some(time_out::<M>) } else { None };
    let blocked = call!(RedisModule_BlockClient(context.raw, Some(deliver::<M>), on_time_out, Some(discard::<M>), 0));
    if blocked.is_null() {
        return None;
    }
    call!(RedisModule_SetDisconnectCallback(blocked, Some(leave::<M>)));
    Some(Handle(blocked, PhantomData))
}

/// Whether a reply can be lost when CLIENT UNBLOCK meets a release in the same turn: before 7.2.
pub fn can_lose_replies() -> bool {
    !has!(RedisModule_SetCommandACLCategories)
}

/// Whether CLIENT UNBLOCK may be allowed on parked clients: everywhere but on 7.2, which aborts.
fn can_time_out() -> bool {
    let is_7_2 = has!(RedisModule_SetCommandACLCategories) && !has!(RedisModule_AddACLCategory);
    !is_7_2
}

impl<M: Module> Handle<M> {
    pub fn seat(&self) -> Seat {
        Seat(self.0 as usize)
    }

    /// Releases the client with its answer, written later in this turn of the event loop.
    pub fn release(self, delivery: M::Delivery) {
        let delivery: *mut M::Delivery = Box::into_raw(Box::new(delivery));
        call!(RedisModule_UnblockClient(self.0, delivery.cast()));
        std::mem::forget(self);
    }
}

/// Lets go of a client that is gone or has its answer; any other is given an error.
impl<M: Module> Drop for Handle<M> {
    fn drop(&mut self) {
        call!(RedisModule_UnblockClient(self.0, std::ptr::null_mut()));
    }
}

guarded! {
    fn deliver<M: Module>(
        context: *mut raw::RedisModuleCtx,
        _argv: *mut *mut raw::RedisModuleString,
        _argc: c_int,
    ) -> c_int, else {
        // SAFETY: the context of this callback.
        catch::<M, _>("reply", || unsafe { Context::new(context) }.reply_error(M::INTERNAL));
        recover::<M>(context);
        OK
    } {
        // SAFETY: the context of this callback.
        let context = unsafe { Context::new(context) };
        let delivery: *mut M::Delivery = call!(RedisModule_GetBlockedClientPrivateData(context.raw)).cast();
        // SAFETY: the box of `release`, which `discard` has not taken back yet.
        match unsafe { delivery.as_mut() } {
            Some(delivery) => M::deliver(&context, delivery),
            None => context.reply_error(M::INTERNAL),
        }
        OK
    }
}

guarded! {
    fn discard<M: Module>(context: *mut raw::RedisModuleCtx, delivery: *mut c_void), else { recover::<M>(context) } {
        if delivery.is_null() {
            return;
        }
        // SAFETY: the box of `release`; the server calls this once for it.
        let delivery = unsafe { Box::from_raw(delivery.cast::<M::Delivery>()) };
        // SAFETY: the context of this callback.
        M::discard(&unsafe { Context::new(context) }, *delivery);
    }
}

guarded! {
    fn time_out<M: Module>(
        context: *mut raw::RedisModuleCtx,
        _argv: *mut *mut raw::RedisModuleString,
        _argc: c_int,
    ) -> c_int, else {
        catch::<M, _>("time_out", || {
            // SAFETY: the context of this callback.
            let context = unsafe { Context::new(context) };
            // Nobody else answers this client any more.
            context.reply_error(M::INTERNAL);
            drop(M::leave(&context, seat_of(&context)));
        });
        recover::<M>(context);
        OK
    } {
        // SAFETY: the context of this callback.
        let context = unsafe { Context::new(context) };
        drop(M::time_out(&context, seat_of(&context)));
        OK
    }
}

/// The parked client that the running callback is about.
fn seat_of(context: &Context) -> Seat {
    Seat(call!(RedisModule_GetBlockedClientHandle(context.raw)) as usize)
}

guarded! {
    fn leave<M: Module>(context: *mut raw::RedisModuleCtx, blocked: *mut raw::RedisModuleBlockedClient), else {
        recover::<M>(context);
    } {
        // SAFETY: the context of this callback.
        drop(M::leave(&unsafe { Context::new(context) }, Seat(blocked as usize)));
    }
}
