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

use super::context::can_time_out_clients;
use super::{call, recover, Context};
use crate::redis::guard::{catch, guarded};
use crate::redis::refusal::INTERNAL;

/// The right to release one client parked by [`park::<P>`](park), whose callbacks expect a delivery of `P`.
#[derive(Debug)]
pub struct Handle<P>(*mut raw::RedisModuleBlockedClient, PhantomData<fn(P)>);

/// Which parked client a callback is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Seat(usize);

// SAFETY: only ever used on the main thread (contract 1 of `sys`); being in a static asks for the marker.
unsafe impl<P> Send for Handle<P> {}

/// What happens to parked clients of one kind.
pub trait Parked: Sized {
    /// What is carried to a client that is released.
    type Delivery;

    /// Writes the reply. The client is connected.
    fn deliver(context: &Context, delivery: &mut Self::Delivery);

    /// The delivery's end, whether or not it was delivered: the client may have gone in between.
    fn discard(context: &Context, delivery: Self::Delivery);

    /// The server ends the wait of this client (CLIENT UNBLOCK): write its reply and return its handle.
    fn time_out(context: &Context, seat: Seat) -> Option<Handle<Self>>;

    /// The server has ended the wait of this client: it is gone, or was given an error. Returns its handle.
    fn leave(context: &Context, seat: Seat) -> Option<Handle<Self>>;
}

/// Parks the calling client. `None` if the server declines.
pub fn park<P: Parked>(context: &Context) -> Option<Handle<P>> {
    let on_time_out: raw::RedisModuleCmdFunc = if can_time_out_clients() { Some(time_out::<P>) } else { None };
    let blocked = call!(RedisModule_BlockClient(context.raw, Some(deliver::<P>), on_time_out, Some(discard::<P>), 0));
    if blocked.is_null() {
        return None;
    }
    call!(RedisModule_SetDisconnectCallback(blocked, Some(leave::<P>)));
    Some(Handle(blocked, PhantomData))
}

impl<P: Parked> Handle<P> {
    pub fn seat(&self) -> Seat {
        Seat(self.0 as usize)
    }

    /// Releases the client with its answer, written later in this turn of the event loop.
    pub fn release(self, delivery: P::Delivery) {
        let delivery: *mut P::Delivery = Box::into_raw(Box::new(delivery));
        call!(RedisModule_UnblockClient(self.0, delivery.cast()));
        std::mem::forget(self);
    }
}

/// Lets go of a client that is gone or has its answer; any other is given an error.
impl<P> Drop for Handle<P> {
    fn drop(&mut self) {
        call!(RedisModule_UnblockClient(self.0, std::ptr::null_mut()));
    }
}

guarded! {
    fn deliver<P: Parked>(
        context: *mut raw::RedisModuleCtx,
        _argv: *mut *mut raw::RedisModuleString,
        _argc: c_int,
    ) -> c_int, else {
        // SAFETY: the context of this callback.
        catch("deliver", || unsafe { Context::new(context) }.reply_error(INTERNAL));
        recover(context);
        0
    } {
        // SAFETY: the context of this callback.
        let context = unsafe { Context::new(context) };
        let delivery: *mut P::Delivery = call!(RedisModule_GetBlockedClientPrivateData(context.raw)).cast();
        // SAFETY: the box of `release`, which `discard` has not taken back yet.
        match unsafe { delivery.as_mut() } {
            Some(delivery) => P::deliver(&context, delivery),
            None => context.reply_error(INTERNAL),
        }
        0
    }
}

guarded! {
    fn discard<P: Parked>(context: *mut raw::RedisModuleCtx, delivery: *mut c_void), else { recover(context) } {
        if delivery.is_null() {
            return;
        }
        // SAFETY: the box of `release`; the server calls this once for it.
        let delivery = unsafe { Box::from_raw(delivery.cast::<P::Delivery>()) };
        // SAFETY: the context of this callback.
        P::discard(&unsafe { Context::new(context) }, *delivery);
    }
}

guarded! {
    fn time_out<P: Parked>(
        context: *mut raw::RedisModuleCtx,
        _argv: *mut *mut raw::RedisModuleString,
        _argc: c_int,
    ) -> c_int, else {
        catch("time_out", || {
            // SAFETY: the context of this callback.
            let context = unsafe { Context::new(context) };
            // Nobody else answers this client any more.
            context.reply_error(INTERNAL);
            let seat = Seat(call!(RedisModule_GetBlockedClientHandle(context.raw)) as usize);
            drop(P::leave(&context, seat));
        });
        recover(context);
        0
    } {
        // SAFETY: the context of this callback.
        let context = unsafe { Context::new(context) };
        let seat = Seat(call!(RedisModule_GetBlockedClientHandle(context.raw)) as usize);
        drop(P::time_out(&context, seat));
        0
    }
}

guarded! {
    fn leave<P: Parked>(context: *mut raw::RedisModuleCtx, blocked: *mut raw::RedisModuleBlockedClient), else {
        recover(context);
    } {
        // SAFETY: the context of this callback.
        drop(P::leave(&unsafe { Context::new(context) }, Seat(blocked as usize)));
    }
}
