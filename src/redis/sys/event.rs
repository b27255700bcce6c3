//! Events of the server.
//!
//! # Safety contract
//!
//! The data of an event is of the type its id promises, in its first version or a longer one, during the callback.

use std::ffi::c_void;

use redis_module::raw;

use super::{call, recover, Context};
use crate::redis::events;
use crate::redis::guard::guarded;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A connection closed.
    ClientGone { id: u64 },
    /// Master became replica, or replica master.
    RoleChanged,
    /// A database was emptied; `None` for all of them.
    Flushed { db: Option<u32> },
    /// Two databases changed places.
    Swapped { first: u32, second: u32 },
    /// The server's housekeeping came round, some ten times a second.
    Housekeeping,
}

const EVENT_VERSION: u64 = 1;

/// Subscribes to all of [`Event`]. What a server does not know, it declines, and it never happens there.
pub fn subscribe(context: &Context) {
    let ids = [
        raw::REDISMODULE_EVENT_CLIENT_CHANGE,
        raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED,
        raw::REDISMODULE_EVENT_FLUSHDB,
        raw::REDISMODULE_EVENT_SWAPDB,
        raw::REDISMODULE_EVENT_CRON_LOOP,
    ];
    for id in ids {
        let event = raw::RedisModuleEvent { id, dataver: EVENT_VERSION };
        call!(RedisModule_SubscribeToServerEvent(context.raw, event, Some(happened)));
    }
}

guarded! {
    fn happened(
        context: *mut raw::RedisModuleCtx,
        event: raw::RedisModuleEvent,
        subevent: u64,
        data: *mut c_void,
    ), else { recover(context) } {
        let event = match event.id {
            raw::REDISMODULE_EVENT_CLIENT_CHANGE if subevent == raw::REDISMODULE_SUBEVENT_CLIENT_CHANGE_DISCONNECTED => {
                // SAFETY: the file's contract.
                let client = unsafe { data.cast::<raw::RedisModuleClientInfo>().as_ref() };
                client.map(|client| Event::ClientGone { id: client.id })
            }
            raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED => Some(Event::RoleChanged),
            raw::REDISMODULE_EVENT_FLUSHDB => {
                // SAFETY: the file's contract.
                let flush = unsafe { data.cast::<raw::RedisModuleFlushInfo>().as_ref() };
                flush.map(|flush| Event::Flushed { db: u32::try_from(flush.dbnum).ok() })
            }
            raw::REDISMODULE_EVENT_SWAPDB => {
                // SAFETY: the file's contract.
                let swap = unsafe { data.cast::<raw::RedisModuleSwapDbInfo>().as_ref() };
                swap.and_then(|swap| {
                    let first = u32::try_from(swap.dbnum_first).ok()?;
                    Some(Event::Swapped { first, second: u32::try_from(swap.dbnum_second).ok()? })
                })
            }
            raw::REDISMODULE_EVENT_CRON_LOOP => Some(Event::Housekeeping),
            _ => None,
        };
        if let Some(event) = event {
            // SAFETY: the context of this callback.
            events::on(&unsafe { Context::new(context) }, event);
        }
    }
}
