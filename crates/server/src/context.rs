//! The callback that is running: what the server is and does, which database, who calls.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::sync::OnceLock;

use redis_module::raw;

use crate::api::OK;
use crate::argv::bytes;
use crate::call_reply::CallReply;
use crate::KeyName;

/// The server, during one callback.
pub struct Context {
    pub(crate) raw: *mut raw::RedisModuleCtx,
    not_send: PhantomData<*mut ()>,
}

/// A context where the server gives a callback none, as when it asks for a section of INFO. Freed on drop.
pub struct OwnContext(Context);

/// A string of the server's, made for a name that does not come from arguments. Freed on drop.
pub struct OwnedString {
    pub(crate) raw: *mut raw::RedisModuleString,
}

/// What the server is and does right now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flags(u32);

impl Context {
    /// # Safety
    /// `raw` is the context of the callback that is running, or null where the server gives none and the call at hand
    /// takes null.
    #[inline]
    pub(crate) const unsafe fn new(raw: *mut raw::RedisModuleCtx) -> Self {
        Self { raw, not_send: PhantomData }
    }

    /// About 20 ns: not for the hit path.
    pub fn flags(&self) -> Flags {
        Flags(call!(RedisModule_GetContextFlags(self.raw)) as u32)
    }

    /// The selected database.
    pub fn db(&self) -> u32 {
        u32::try_from(call!(RedisModule_GetSelectedDb(self.raw))).unwrap_or(0)
    }

    /// Selects a database for the rest of this callback.
    pub fn select(&self, db: u32) -> bool {
        i32::try_from(db).is_ok_and(|db| call!(RedisModule_SelectDb(self.raw, db)) == OK)
    }

    /// The calling client's id; 0 if there is none. Scripts and other modules' calls have ids too, which are no
    /// connections: see [`Context::caller_is_connection`].
    pub fn client_id(&self) -> u64 {
        call!(RedisModule_GetClientId(self.raw))
    }

    /// Whether the caller is the AOF that is being read.
    pub fn caller_is_aof(&self) -> bool {
        self.client_id() == AOF_CLIENT
    }

    /// Whether the caller is a client with a connection of its own: not a script, another module's call, the AOF, or the
    /// master's link. For an id that is none, Valkey 9.1 crashes when asked for its address.
    pub fn caller_is_connection(&self) -> bool {
        let id = self.client_id();
        let flags = self.flags();
        if id == 0 || id == AOF_CLIENT || flags.is_script() || flags.is_replicated() {
            return false;
        }
        // Within EXEC, and where a module lets its call block, the flags do not tell another module's call from the
        // client's own command. But its temporary client is not listed, or has no user.
        let user = call!(RedisModule_GetClientUserNameById(self.raw, id));
        if user.is_null() {
            return false;
        }
        drop(OwnedString { raw: user });
        true
    }

    /// Whether the caller is one whose commands must be carried out: the master, the AOF, a slot migration.
    /// `None` where the server cannot say.
    pub fn must_obey_client(&self) -> Option<bool> {
        let function = MUST_OBEY_CLIENT.get().copied().flatten()?;
        // SAFETY: the server's function of that name, with the context of this callback.
        Some(unsafe { function(self.raw) } == 1)
    }

    /// A string of the server's, for names that do not come from arguments.
    pub fn string(&self, bytes: &[u8]) -> OwnedString {
        OwnedString::new(bytes)
    }

    /// Whether the server has a command that takes arguments, under this name.
    pub fn has_command(&self, command: &CStr) -> bool {
        let reply = call!(RedisModule_Call(self.raw, command.as_ptr(), c"".as_ptr()));
        // Known, and wrong without arguments, is EINVAL.
        let errno = std::io::Error::last_os_error().kind();
        CallReply::new(self, reply).is_some() || errno != std::io::ErrorKind::NotFound
    }

    /// Runs a command without arguments, for its effect. Says whether the server ran it.
    pub fn run(&self, command: &CStr) -> bool {
        let reply = call!(RedisModule_Call(self.raw, command.as_ptr(), c"".as_ptr()));
        CallReply::new(self, reply).is_some_and(|reply| reply.as_error().is_none())
    }

    /// Whether writes outside a client's command must wait: clients are paused, a failover is under way. 3 ns; it also
    /// ends a pause whose time has passed.
    pub fn avoids_replica_traffic(&self) -> bool {
        call!(RedisModule_AvoidReplicaTraffic()) == 1
    }
}

impl OwnContext {
    /// In a callback without one.
    pub(crate) fn new() -> Self {
        let raw = call!(RedisModule_GetThreadSafeContext(std::ptr::null_mut()));
        // SAFETY: a context of our own, which lives as long as what owns it.
        Self(unsafe { Context::new(raw) })
    }
}

impl std::ops::Deref for OwnContext {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0
    }
}

impl Drop for OwnContext {
    fn drop(&mut self) {
        call!(RedisModule_FreeThreadSafeContext(self.0.raw));
    }
}

impl Flags {
    pub const fn is_master(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_MASTER)
    }

    /// A file or a master's data set is being loaded, and no client is served meanwhile (but for a few commands).
    pub const fn is_loading(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_LOADING)
    }

    /// A master's data set is being loaded beside the one that is served.
    pub const fn is_async_loading(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_ASYNC_LOADING)
    }

    pub const fn is_cluster(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_CLUSTER)
    }

    /// The command came over the replication link.
    pub const fn is_replicated(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_REPLICATED)
    }

    /// The caller cannot be parked: MULTI, a script, another module's call, the AOF.
    pub const fn denies_blocking(self) -> bool {
        const REASONS: u32 = raw::REDISMODULE_CTX_FLAGS_DENY_BLOCKING
            | raw::REDISMODULE_CTX_FLAGS_MULTI
            | raw::REDISMODULE_CTX_FLAGS_LUA;
        self.has(REASONS)
    }

    /// EVAL, a function, and what they call.
    pub const fn is_script(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_LUA)
    }

    /// EXEC.
    pub const fn is_transaction(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_MULTI)
    }

    /// Another module's call (or the AOF), outside a script and a transaction.
    pub const fn is_nested_call(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_DENY_BLOCKING) && !self.is_script() && !self.is_transaction()
    }

    /// Memory used is above `maxmemory`. Whether something can be evicted is what [`Context::probe`] finds out.
    pub const fn is_over_memory(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_OOM)
    }

    /// There is a `maxmemory`.
    pub const fn has_memory_limit(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_MAXMEMORY)
    }

    /// The policy of `maxmemory` evicts: it is not noeviction.
    pub const fn evicts(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_EVICT)
    }

    /// The caller's replies are in RESP3.
    pub const fn is_resp3(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_RESP3)
    }

    const fn has(self, any_of: u32) -> bool {
        self.0 & any_of != 0
    }
}

impl OwnedString {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        // A null context: outside automatic memory management, so that the string may outlive the callback.
        Self { raw: call!(RedisModule_CreateString(std::ptr::null_mut(), bytes.as_ptr().cast(), bytes.len())) }
    }

    pub fn as_key(&self) -> KeyName<'_> {
        // SAFETY: the string lives as long as `self`.
        unsafe { KeyName::new(self.raw) }
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the string is ours, and nobody changes it.
        unsafe { bytes(self.raw) }
    }
}

impl Drop for OwnedString {
    fn drop(&mut self) {
        // Null context: the string was made outside automatic memory management, which nothing here turns on.
        call!(RedisModule_FreeString(std::ptr::null_mut(), self.raw));
    }
}

type MustObeyClient = unsafe extern "C" fn(*mut raw::RedisModuleCtx) -> i32;

/// RM_MustObeyClient (Valkey), which the crate's bindings leave out.
static MUST_OBEY_CLIENT: OnceLock<Option<MustObeyClient>> = OnceLock::new();

/// Looks up what the crate's bindings leave out. At load.
pub(crate) fn look_up() {
    MUST_OBEY_CLIENT.get_or_init(|| {
        let mut function: Option<MustObeyClient> = None;
        let out = std::ptr::from_mut(&mut function).cast();
        // The server writes a function pointer of that type, or nothing.
        let found = call!(RedisModule_GetApi(c"RedisModule_MustObeyClient".as_ptr(), out)) == OK;
        function.filter(|_| found)
    });
}

/// What RM_GetClientId says of the AOF's reader.
const AOF_CLIENT: u64 = u64::MAX;
