//! Other clients, by their ids.
//!
//! Only ids of connections may be asked about ([`Context::caller_is_connection`]): Valkey 9.1 crashes when it is asked
//! for the address of a script's client.

use redis_module::raw;

use crate::api::OK;
use crate::context::OwnedString;
use crate::Context;

impl Context {
    /// Address and port of a connected client.
    pub fn client_address(&self, id: u64) -> Option<String> {
        // SAFETY: plain numbers and characters, for which zero is a value.
        let mut info: raw::RedisModuleClientInfo = unsafe { std::mem::zeroed() };
        info.version = 1;
        if call!(RedisModule_GetClientInfoById(std::ptr::from_mut(&mut info).cast(), id)) != OK {
            return None;
        }
        let address: Vec<u8> = info.addr.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
        Some(format!("{}:{}", String::from_utf8_lossy(&address), info.port))
    }

    /// Whether a client is still connected. Cheaper than its address: a look-up. (Valkey 9 says so of a running script's
    /// client too.)
    pub fn is_connected(&self, id: u64) -> bool {
        // Null: nothing is to be filled in.
        call!(RedisModule_GetClientInfoById(std::ptr::null_mut(), id)) == OK
    }

    /// The name a connected client gave itself, where the server tells it (Redis 7.0.3).
    pub fn client_name(&self, id: u64) -> Option<Vec<u8>> {
        if !has!(RedisModule_GetClientNameById) {
            return None;
        }
        let name = call!(RedisModule_GetClientNameById(self.raw, id));
        (!name.is_null()).then(|| OwnedString { raw: name }.bytes().to_vec())
    }

    /// Closes a connection, on the event loop's next turn. False if there is none of that id.
    ///
    /// Not by CLIENT KILL, which can be renamed.
    pub fn kill_client(&self, id: u64) -> bool {
        call!(RedisModule_DeauthenticateAndCloseClient(self.raw, id)) == OK
    }
}
