//! What others are told of a change: replicas and the AOF, WATCH and tracking, subscribers.

use std::ffi::{c_int, CStr};

use redis_module::raw;

use crate::api::OK;
use crate::context::OwnedString;
use crate::{Context, KeyName};

impl Context {
    /// Sends `command key [argument [argument]]` to the replicas and the AOF. The key may be the empty name, but there is
    /// always one: a keyless command of a module's ends a slot migration of Valkey 9.
    ///
    /// False if the server refused: replicas and the AOF differ from then on. Not to be called outside a client's command while
    /// [`Context::avoids_replica_traffic`]: that aborts the server.
    pub fn replicate(&self, command: &CStr, key: KeyName, arguments: &[&[u8]]) -> bool {
        let (raw, name, key) = (self.raw, command.as_ptr(), key.string);
        let sent = match *arguments {
            [] => call!(RedisModule_Replicate(raw, name, c"s".as_ptr(), key)),
            [first] => {
                call!(RedisModule_Replicate(raw, name, c"sb".as_ptr(), key, first.as_ptr(), first.len()))
            }
            [first, second] => call!(RedisModule_Replicate(
                raw,
                name,
                c"sbb".as_ptr(),
                key,
                first.as_ptr(),
                first.len(),
                second.as_ptr(),
                second.len()
            )),
            // No command of ours has more.
            _ => crate::api::ERR,
        };
        sent == OK
    }

    /// Sends the running command as it came.
    pub fn replicate_verbatim(&self) {
        call!(RedisModule_ReplicateVerbatim(self.raw));
    }

    /// Tells WATCH and client-side caching that the key changed.
    pub fn signal_modified(&self, key: KeyName) {
        call!(RedisModule_SignalModifiedKey(self.raw, key.string));
    }

    /// A keyspace event of the module class (`d`).
    pub fn notify(&self, event: &CStr, key: KeyName) {
        self.notify_class(raw::REDISMODULE_NOTIFY_MODULE, event, key);
    }

    /// A keyspace event of the generic class (`g`), as `del`.
    pub fn notify_generic(&self, event: &CStr, key: KeyName) {
        self.notify_class(raw::REDISMODULE_NOTIFY_GENERIC, event, key);
    }

    fn notify_class(&self, class: c_int, event: &CStr, key: KeyName) {
        call!(RedisModule_NotifyKeyspaceEvent(self.raw, class, event.as_ptr(), key.string));
    }

    /// Publishes on a shard channel of this node, and in a cluster on its replicas. Says how many clients here got it.
    /// Outside commands only: on 7.0 the push to a caller that has subscribed too lands inside its reply.
    pub fn publish_shard(&self, channel: &[u8], message: &[u8]) -> i32 {
        let (channel, message) = (OwnedString::new(channel), OwnedString::new(message));
        call!(RedisModule_PublishMessageShard(self.raw, channel.raw, message.raw))
    }
}
