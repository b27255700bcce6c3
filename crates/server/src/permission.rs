//! Whether the server would let something pass: a write, a key of this node, a user.

use std::ffi::CStr;
use std::fmt;

use redis_module::raw;

use crate::api::OK;
use crate::call_reply::CallReply;
use crate::context::OwnedString;
use crate::{Context, KeyName};

/// Where a key is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ownership {
    Here,
    /// By another node, or (an unassigned slot) by none.
    Elsewhere,
    /// The cluster serves nothing at the moment.
    ClusterDown,
}

/// The name of a user that the ACL knows.
pub struct UserName(OwnedString);

/// A user of the ACL, freed on drop.
struct User(*mut raw::RedisModuleUser);

// Our own commands are called with copies of a key's name: when a module's command returns, the server trims those of its
// arguments that somebody else keeps too, and so can free the bytes of the caller's own argument.
impl Context {
    /// Whether the server takes writes: has it run a command of ours, flagged `write deny-oom no-monitor no-slowlog`, that
    /// does nothing, by the rules that scripts are under. The error is the server's own line: MISCONF, NOREPLICAS, OOM.
    /// About a microsecond. In a cluster the key's slot counts too.
    pub fn probe(&self, command: &CStr, key: KeyName) -> Result<(), Vec<u8>> {
        let name = if self.flags().is_cluster() { key.bytes() } else { b"" };
        let (start, length) = (name.as_ptr(), name.len());
        let reply = call!(RedisModule_Call(self.raw, command.as_ptr(), c"SMEb".as_ptr(), start, length));
        let Some(reply) = CallReply::new(self, reply) else {
            return Err(b"ERR the server does not say whether it takes writes".to_vec());
        };
        reply.as_error().map_or(Ok(()), |line| Err(line.to_vec()))
    }

    /// Where the key's slot is served, found in the way that works on every server: a call on a key that is not ours
    /// is not made. `command` is one of ours that reads one key.
    pub fn owns(&self, command: &CStr, key: KeyName) -> Ownership {
        const EPERM: i32 = 1;
        const EROFS: i32 = 30;
        const ENETDOWN: i32 = 100;
        let (start, length) = (key.bytes().as_ptr(), key.bytes().len());
        let reply = call!(RedisModule_Call(self.raw, command.as_ptr(), c"b".as_ptr(), start, length));
        let errno = std::io::Error::last_os_error().raw_os_error();
        if CallReply::new(self, reply).is_some() {
            return Ownership::Here;
        }
        match errno {
            Some(EPERM) => Ownership::Elsewhere,
            Some(ENETDOWN | EROFS) => Ownership::ClusterDown,
            // Refused for another reason than the slot.
            _ => Ownership::Here,
        }
    }

    /// Whether a user may run `command key` (command, key and selectors). `None` if the ACL does not know the user any
    /// more, or never did: another module's.
    pub fn is_permitted(&self, user: &UserName, command: &CStr, key: KeyName) -> Option<bool> {
        let user = User::named(user)?;
        let command = OwnedString::new(command.to_bytes());
        let mut words = [command.raw, key.string];
        Some(call!(RedisModule_ACLCheckCommandPermissions(user.0, words.as_mut_ptr(), words.len() as i32)) == OK)
    }

    /// The calling client's user. `None` if the ACL does not know it, or the caller is no client that could be parked: a
    /// script, a transaction, another module's call.
    pub fn user_name(&self) -> Option<UserName> {
        if self.flags().denies_blocking() {
            return None;
        }
        // Not by RM_GetCurrentUserName, which crashes where the caller has no user: in a timer, in another module's call.
        let name = call!(RedisModule_GetClientUserNameById(self.raw, self.client_id()));
        if name.is_null() {
            return None;
        }
        let name = UserName(OwnedString { raw: name });
        User::named(&name).is_some().then_some(name)
    }
}

impl UserName {
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

// SAFETY: only ever used on the main thread (contract 1 of the crate); being in a static asks for the marker.
unsafe impl Send for UserName {}

impl fmt::Debug for UserName {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "UserName({:?})", String::from_utf8_lossy(self.bytes()))
    }
}

impl User {
    fn named(name: &UserName) -> Option<Self> {
        let user = call!(RedisModule_GetModuleUserFromUserName(name.0.raw));
        (!user.is_null()).then_some(Self(user))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        call!(RedisModule_FreeModuleUser(self.0));
    }
}
