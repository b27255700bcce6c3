//! Figures of the server's own INFO.
//!
//! The server renders a whole section for each: some microseconds for clients, tens for memory and commandstats.

use std::ffi::CStr;

use redis_module::raw;

use crate::api::OK;
use crate::Context;

/// One rendered section of INFO, freed on drop.
struct ServerInfo(*mut raw::RedisModuleServerInfoData);

/// What the server counts of its commands since its statistics began.
pub struct CommandCalls(Option<ServerInfo>);

impl Context {
    /// In bytes.
    pub fn used_memory(&self) -> Option<u64> {
        ServerInfo::of(c"memory")?.number(c"used_memory")
    }

    /// In bytes; 0 without a limit.
    pub fn max_memory(&self) -> Option<u64> {
        ServerInfo::of(c"memory")?.number(c"maxmemory")
    }

    /// As in redis.conf: `noeviction`, `allkeys-lru` …
    pub fn maxmemory_policy(&self) -> Option<String> {
        ServerInfo::of(c"memory")?.text(c"maxmemory_policy").map(str::to_owned)
    }

    /// Used memory as a share of `maxmemory`; 0 without a limit. A few nanoseconds.
    pub fn used_memory_ratio(&self) -> f32 {
        call!(RedisModule_GetUsedMemoryRatio())
    }

    /// Keys with a time to live, in the selected database's neighbours too: INFO lists each database.
    pub fn volatile_keys(&self) -> u64 {
        let Some(info) = ServerInfo::of(c"keyspace") else { return 0 };
        // The section names no database that is empty; the first sixteen are all there are unless configured otherwise.
        const DATABASES: [&CStr; 16] = [
            c"db0", c"db1", c"db2", c"db3", c"db4", c"db5", c"db6", c"db7", c"db8", c"db9", c"db10", c"db11", c"db12",
            c"db13", c"db14", c"db15",
        ];
        let expires = |text: &str| {
            text.split(',').find_map(|part| part.strip_prefix("expires=")).and_then(|count| count.parse::<u64>().ok())
        };
        DATABASES.iter().filter_map(|database| info.text(database).and_then(expires)).sum()
    }

    /// Whether nobody but its master writes here.
    pub fn is_read_only_replica(&self) -> bool {
        ServerInfo::of(c"replication").and_then(|info| info.number(c"slave_read_only")) == Some(1)
    }

    /// Connected clients without replicas.
    pub fn connected_clients(&self) -> Option<u64> {
        ServerInfo::of(c"clients")?.number(c"connected_clients")
    }

    pub fn max_clients(&self) -> Option<u64> {
        ServerInfo::of(c"clients")?.number(c"maxclients")
    }
}

impl CommandCalls {
    pub fn now() -> Self {
        Self(ServerInfo::of(c"commandstats"))
    }

    /// How often a command was run. `field` is its name in the section, `cmdstat_NAME`.
    pub fn of(&self, field: &CStr) -> u64 {
        self.read(field).unwrap_or(0)
    }

    fn read(&self, field: &CStr) -> Option<u64> {
        self.0.as_ref()?.text(field)?.strip_prefix("calls=")?.split(',').next()?.parse().ok()
    }
}

impl ServerInfo {
    fn of(section: &CStr) -> Option<Self> {
        // A null context: nothing to register it with for automatic freeing.
        let info = call!(RedisModule_GetServerInfo(std::ptr::null_mut(), section.as_ptr()));
        (!info.is_null()).then_some(Self(info))
    }

    fn number(&self, field: &CStr) -> Option<u64> {
        let mut missing = 0;
        let number = call!(RedisModule_ServerInfoGetFieldUnsigned(self.0, field.as_ptr(), &mut missing));
        (missing == OK).then_some(number)
    }

    fn text(&self, field: &CStr) -> Option<&str> {
        let text = call!(RedisModule_ServerInfoGetFieldC(self.0, field.as_ptr()));
        if text.is_null() {
            return None;
        }
        // SAFETY: the server's own NUL-terminated text, which lives as long as `self`.
        unsafe { CStr::from_ptr(text) }.to_str().ok()
    }
}

impl Drop for ServerInfo {
    fn drop(&mut self) {
        call!(RedisModule_FreeServerInfo(std::ptr::null_mut(), self.0));
    }
}
