//! Events of the server.
//!
//! # Safety contract
//!
//! The data of an event is of the type its id promises, in its first version or a longer one, during the callback.

use std::ffi::c_void;

use redis_module::raw;

use crate::guard::recover;
use crate::{Context, Module};

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A connection closed.
    ClientGone { id: u64 },
    /// Master became replica, or replica master.
    RoleChanged { is_master: bool },
    /// A database was emptied; `None` for all of them. Told when the keys are gone (though an ASYNC flush may still be
    /// freeing them), with nothing in between; also when a replica makes room for its master's data set.
    Flushed { db: Option<u32> },
    /// Two databases have changed places.
    Swapped { first: u32, second: u32 },
    /// Reading of a data set, during which no client is served.
    Loading(Loading),
    /// Reading of a master's data set beside the one that is served.
    AsyncLoading(AsyncLoading),
    /// A replica's link to its master.
    MasterLink { up: bool },
    /// CONFIG SET changed something, of the server's or of a module's.
    ConfigChanged,
    /// The server's housekeeping came round, some ten times a second (`hz`).
    Housekeeping,
    /// The server is about to end.
    Shutdown,
    /// A child process for saving began (`born`), or has ended.
    ForkChild { born: bool },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loading {
    Started(DataSet),
    Ended,
    Failed,
}

/// Where a data set is read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DataSet {
    Rdb,
    Aof,
    Replication,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AsyncLoading {
    Started,
    /// The data set that was served stays.
    Aborted,
    /// The data set that was loaded has taken the other's place.
    Completed,
}

const EVENT_VERSION: u64 = 1;

/// Subscribes to all of [`Event`]. What a server does not know, it declines, and it never happens there.
pub(crate) fn subscribe<M: Module>(context: &Context) {
    let ids = [
        raw::REDISMODULE_EVENT_CLIENT_CHANGE,
        raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED,
        raw::REDISMODULE_EVENT_FLUSHDB,
        raw::REDISMODULE_EVENT_SWAPDB,
        raw::REDISMODULE_EVENT_LOADING,
        raw::REDISMODULE_EVENT_REPL_ASYNC_LOAD,
        raw::REDISMODULE_EVENT_MASTER_LINK_CHANGE,
        raw::REDISMODULE_EVENT_CONFIG,
        raw::REDISMODULE_EVENT_CRON_LOOP,
        raw::REDISMODULE_EVENT_SHUTDOWN,
        raw::REDISMODULE_EVENT_FORK_CHILD,
    ];
    for id in ids {
        let event = raw::RedisModuleEvent { id, dataver: EVENT_VERSION };
        call!(RedisModule_SubscribeToServerEvent(context.raw, event, Some(event_happened::<M>)));
    }
}

guarded! {
    fn event_happened<M: Module>(
        context: *mut raw::RedisModuleCtx,
        event: raw::RedisModuleEvent,
        subevent: u64,
        data: *mut c_void,
    ), else { recover::<M>(context) } {
        // SAFETY: what the server gave this callback.
        if let Some(event) = unsafe { read(event.id, subevent, data) } {
            // SAFETY: the context of this callback.
            M::event(&unsafe { Context::new(context) }, event);
        }
    }
}

/// # Safety
/// `data` belongs to the event of these numbers (the file's contract).
unsafe fn read(id: u64, subevent: u64, data: *const c_void) -> Option<Event> {
    match id {
        raw::REDISMODULE_EVENT_CLIENT_CHANGE if subevent == raw::REDISMODULE_SUBEVENT_CLIENT_CHANGE_DISCONNECTED => {
            // SAFETY: the caller's promise.
            let client = unsafe { data.cast::<raw::RedisModuleClientInfo>().as_ref() }?;
            Some(Event::ClientGone { id: client.id })
        }
        raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED => {
            Some(Event::RoleChanged { is_master: subevent == raw::REDISMODULE_EVENT_REPLROLECHANGED_NOW_MASTER })
        }
        raw::REDISMODULE_EVENT_FLUSHDB if subevent == raw::REDISMODULE_SUBEVENT_FLUSHDB_END => {
            // SAFETY: the caller's promise.
            let flush = unsafe { data.cast::<raw::RedisModuleFlushInfo>().as_ref() }?;
            Some(Event::Flushed { db: u32::try_from(flush.dbnum).ok() })
        }
        raw::REDISMODULE_EVENT_SWAPDB => {
            // SAFETY: the caller's promise.
            let swap = unsafe { data.cast::<raw::RedisModuleSwapDbInfo>().as_ref() }?;
            let first = u32::try_from(swap.dbnum_first).ok()?;
            Some(Event::Swapped { first, second: u32::try_from(swap.dbnum_second).ok()? })
        }
        raw::REDISMODULE_EVENT_LOADING => loading(subevent).map(Event::Loading),
        raw::REDISMODULE_EVENT_REPL_ASYNC_LOAD => async_loading(subevent).map(Event::AsyncLoading),
        raw::REDISMODULE_EVENT_MASTER_LINK_CHANGE => {
            Some(Event::MasterLink { up: subevent == raw::REDISMODULE_SUBEVENT_MASTER_LINK_UP })
        }
        raw::REDISMODULE_EVENT_CONFIG => Some(Event::ConfigChanged),
        raw::REDISMODULE_EVENT_CRON_LOOP => Some(Event::Housekeeping),
        raw::REDISMODULE_EVENT_SHUTDOWN => Some(Event::Shutdown),
        raw::REDISMODULE_EVENT_FORK_CHILD => {
            Some(Event::ForkChild { born: subevent == raw::REDISMODULE_SUBEVENT_FORK_CHILD_BORN })
        }
        _ => None,
    }
}

fn loading(subevent: u64) -> Option<Loading> {
    Some(match subevent {
        raw::REDISMODULE_SUBEVENT_LOADING_RDB_START => Loading::Started(DataSet::Rdb),
        raw::REDISMODULE_SUBEVENT_LOADING_AOF_START => Loading::Started(DataSet::Aof),
        raw::REDISMODULE_SUBEVENT_LOADING_REPL_START => Loading::Started(DataSet::Replication),
        raw::REDISMODULE_SUBEVENT_LOADING_ENDED => Loading::Ended,
        raw::REDISMODULE_SUBEVENT_LOADING_FAILED => Loading::Failed,
        _ => return None,
    })
}

fn async_loading(subevent: u64) -> Option<AsyncLoading> {
    Some(match subevent {
        raw::REDISMODULE_SUBEVENT_REPL_ASYNC_LOAD_STARTED => AsyncLoading::Started,
        raw::REDISMODULE_SUBEVENT_REPL_ASYNC_LOAD_ABORTED => AsyncLoading::Aborted,
        raw::REDISMODULE_SUBEVENT_REPL_ASYNC_LOAD_COMPLETED => AsyncLoading::Completed,
        _ => return None,
    })
}
