//! What a callback may ask of the server it was called by.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::sync::OnceLock;

use redis_module::raw;

use super::argv::{bytes, KeyName};
use super::{call, has};

/// The server, during one callback.
pub struct Context {
    pub(super) raw: *mut raw::RedisModuleCtx,
    not_send: PhantomData<*mut ()>,
}

type MustObeyClient = unsafe extern "C" fn(*mut raw::RedisModuleCtx) -> i32;

/// RM_MustObeyClient (7.2), which the crate's bindings leave out.
static MUST_OBEY_CLIENT: OnceLock<Option<MustObeyClient>> = OnceLock::new();

/// Looks up what the crate's bindings leave out. At load.
pub(super) fn look_up() {
    MUST_OBEY_CLIENT.get_or_init(|| {
        let mut function: Option<MustObeyClient> = None;
        let out = std::ptr::from_mut(&mut function).cast();
        // The server writes a function pointer of that type, or nothing.
        let found = call!(RedisModule_GetApi(c"RedisModule_MustObeyClient".as_ptr(), out)) == OK;
        function.filter(|_| found)
    });
}

/// A string made by [`Context::string`], freed on drop.
pub struct OwnedString {
    pub(super) raw: *mut raw::RedisModuleString,
}

/// What the server is and does right now.
#[derive(Clone, Copy)]
pub struct Flags(u32);

impl Flags {
    pub const fn is_master(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_MASTER != 0
    }

    pub const fn is_loading(self) -> bool {
        self.0 & (raw::REDISMODULE_CTX_FLAGS_LOADING | raw::REDISMODULE_CTX_FLAGS_ASYNC_LOADING) != 0
    }

    pub const fn is_cluster(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_CLUSTER != 0
    }

    /// The command came over the replication link.
    pub const fn is_replicated(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_REPLICATED != 0
    }

    /// The caller cannot be parked: MULTI, Lua, another module's call.
    pub const fn denies_blocking(self) -> bool {
        const REASONS: u32 = raw::REDISMODULE_CTX_FLAGS_DENY_BLOCKING
            | raw::REDISMODULE_CTX_FLAGS_MULTI
            | raw::REDISMODULE_CTX_FLAGS_LUA;
        self.0 & REASONS != 0
    }

    pub const fn is_script(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_LUA != 0
    }

    /// Memory used is above `maxmemory`.
    pub const fn is_over_memory(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_OOM != 0
    }
}

impl Context {
    /// # Safety
    /// `raw` is the context of the callback that is running, or null where the server gives none and the call at hand
    /// takes null.
    pub(super) const unsafe fn new(raw: *mut raw::RedisModuleCtx) -> Self {
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

    /// The calling client's id; 0 if there is none.
    pub fn client_id(&self) -> u64 {
        call!(RedisModule_GetClientId(self.raw))
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
        OwnedString { raw: call!(RedisModule_CreateString(self.raw, bytes.as_ptr().cast(), bytes.len())) }
    }

    /// Sends `CACHE.APPLY key header [value]` to the replicas and the AOF.
    pub fn replicate_apply(&self, key: KeyName, header: &[u8], value: Option<&[u8]>) {
        let name = c"CACHE.APPLY".as_ptr();
        let (head, head_len) = (header.as_ptr(), header.len());
        match value {
            Some(value) => call!(RedisModule_Replicate(
                self.raw,
                name,
                c"sbb".as_ptr(),
                key.string,
                head,
                head_len,
                value.as_ptr(),
                value.len()
            )),
            None => call!(RedisModule_Replicate(self.raw, name, c"sb".as_ptr(), key.string, head, head_len)),
        };
    }

    /// Sends `UNLINK key` to the replicas and the AOF.
    pub fn replicate_unlink(&self, key: KeyName) {
        call!(RedisModule_Replicate(self.raw, c"UNLINK".as_ptr(), c"s".as_ptr(), key.string));
    }

    /// Sends the running command as it came.
    pub fn replicate_verbatim(&self) {
        call!(RedisModule_ReplicateVerbatim(self.raw));
    }

    /// Tells WATCH and client-side caching that the key changed.
    pub fn signal_modified(&self, key: KeyName) {
        call!(RedisModule_SignalModifiedKey(self.raw, key.string));
    }

    /// A keyspace event of the module class.
    pub fn notify(&self, event: &CStr, key: KeyName) {
        call!(RedisModule_NotifyKeyspaceEvent(self.raw, raw::REDISMODULE_NOTIFY_MODULE, event.as_ptr(), key.string));
    }

    /// Whether the key's slot is served here, asked in the way that works on every server: a call on a key of a slot
    /// that is not ours is refused.
    pub fn owns(&self, key: KeyName) -> bool {
        let reply = call!(RedisModule_Call(self.raw, c"EXISTS".as_ptr(), c"s".as_ptr(), key.string));
        if reply.is_null() {
            return false;
        }
        call!(RedisModule_FreeCallReply(reply));
        true
    }

    /// Whether memory is above `maxmemory` with nothing to evict, as the server found before it ran this command.
    ///
    /// Asked by a call that is refused only for that: SETRANGE of nothing changes nothing, whatever the key holds.
    pub fn is_out_of_memory(&self, key: KeyName) -> bool {
        let reply = call!(RedisModule_Call(
            self.raw,
            c"SETRANGE".as_ptr(),
            c"MEscc".as_ptr(),
            key.string,
            c"0".as_ptr(),
            c"".as_ptr()
        ));
        if reply.is_null() {
            return false;
        }
        let mut length = 0;
        let text = call!(RedisModule_CallReplyStringPtr(reply, &mut length));
        // SAFETY: the server returns the reply's own text and its length; it lives until the reply is freed.
        let refused =
            !text.is_null() && unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) }.starts_with(b"OOM");
        call!(RedisModule_FreeCallReply(reply));
        refused
    }

    /// The bytes of an ordinary string, copied; `None` if the key holds none.
    ///
    /// By GET rather than StringDMA, which would turn an int-encoded or embedded string into a raw one for good.
    pub fn string_at(&self, key: KeyName) -> Option<Vec<u8>> {
        let reply = call!(RedisModule_Call(self.raw, c"GET".as_ptr(), c"s".as_ptr(), key.string));
        if reply.is_null() {
            return None;
        }
        let mut length = 0;
        let start = call!(RedisModule_CallReplyStringPtr(reply, &mut length));
        // SAFETY: the server returns the reply's own text and its length; it lives until the reply is freed.
        let text =
            (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) }.to_vec());
        call!(RedisModule_FreeCallReply(reply));
        text
    }

    /// Closes a connection.
    pub fn kill_client(&self, id: u64) {
        let id = id.to_string();
        let reply = call!(RedisModule_Call(
            self.raw,
            c"CLIENT".as_ptr(),
            c"ccb".as_ptr(),
            c"KILL".as_ptr(),
            c"ID".as_ptr(),
            id.as_ptr(),
            id.len()
        ));
        if !reply.is_null() {
            call!(RedisModule_FreeCallReply(reply));
        }
    }

    /// A field of INFO's memory section, in bytes. Tens of microseconds: the server renders the section.
    pub fn memory_info(&self, field: &CStr) -> Option<u64> {
        let info = ServerInfo::of(c"memory")?;
        let mut missing = 0;
        let bytes = call!(RedisModule_ServerInfoGetFieldUnsigned(info.0, field.as_ptr(), &mut missing));
        (missing == OK).then_some(bytes)
    }

    /// Runs a command without arguments, for its effect.
    pub fn run(&self, command: &CStr) {
        let reply = call!(RedisModule_Call(self.raw, command.as_ptr(), c"".as_ptr()));
        if !reply.is_null() {
            call!(RedisModule_FreeCallReply(reply));
        }
    }

    /// Whether the server has a command that takes arguments, under this name.
    pub fn has_command(&self, command: &CStr) -> bool {
        let reply = call!(RedisModule_Call(self.raw, command.as_ptr(), c"".as_ptr()));
        if !reply.is_null() {
            call!(RedisModule_FreeCallReply(reply));
            return true;
        }
        // Known, and wrong without arguments, is EINVAL.
        std::io::Error::last_os_error().kind() != std::io::ErrorKind::NotFound
    }

    /// The name a connected client gave itself, where the server tells it (Redis 7.0.3).
    pub fn client_name(&self, id: u64) -> Option<Vec<u8>> {
        if !has!(RedisModule_GetClientNameById) {
            return None;
        }
        let name = call!(RedisModule_GetClientNameById(self.raw, id));
        if name.is_null() {
            return None;
        }
        let name = OwnedString { raw: name };
        // SAFETY: the string is ours until `name` is dropped.
        Some(unsafe { bytes(name.raw) }.to_vec())
    }
}

impl OwnedString {
    pub fn as_key(&self) -> KeyName<'_> {
        // SAFETY: the string lives as long as `self`.
        unsafe { KeyName::new(self.raw) }
    }
}

impl Drop for OwnedString {
    fn drop(&mut self) {
        // Null context: the string was made outside automatic memory management, which nothing here turns on.
        call!(RedisModule_FreeString(std::ptr::null_mut(), self.raw));
    }
}

/// One rendered section of INFO, freed on drop.
struct ServerInfo(*mut raw::RedisModuleServerInfoData);

impl ServerInfo {
    fn of(section: &CStr) -> Option<Self> {
        // A null context: nothing to register it with for automatic freeing.
        let info = call!(RedisModule_GetServerInfo(std::ptr::null_mut(), section.as_ptr()));
        (!info.is_null()).then_some(Self(info))
    }
}

impl Drop for ServerInfo {
    fn drop(&mut self) {
        call!(RedisModule_FreeServerInfo(std::ptr::null_mut(), self.0));
    }
}

/// What the server counts of its commands since its statistics began. Tens of microseconds: it renders the section.
pub struct CommandCalls(Option<ServerInfo>);

impl CommandCalls {
    pub fn now() -> Self {
        Self(ServerInfo::of(c"commandstats"))
    }

    /// How often a command was run. `field` is its name in the section, `cmdstat_NAME`.
    pub fn of(&self, field: &CStr) -> u64 {
        self.read(field).unwrap_or(0)
    }

    fn read(&self, field: &CStr) -> Option<u64> {
        let info = self.0.as_ref()?;
        let text = call!(RedisModule_ServerInfoGetFieldC(info.0, field.as_ptr()));
        if text.is_null() {
            return None;
        }
        // SAFETY: the server's own NUL-terminated text, which lives as long as `info`.
        let text = unsafe { CStr::from_ptr(text) }.to_str().ok()?;
        text.strip_prefix("calls=")?.split(',').next()?.parse().ok()
    }
}

/// Microseconds since the epoch, from the server's clock.
pub fn now_us() -> u64 {
    let us = if has!(RedisModule_Microseconds) {
        call!(RedisModule_Microseconds())
    } else {
        call!(RedisModule_Milliseconds()).saturating_mul(1000)
    };
    u64::try_from(us).unwrap_or(0)
}

/// When the running command began, in microseconds since the epoch. The server has read the clock for that already,
/// where it says so (7.2), and in a script or transaction it is the one moment that all of its commands see.
pub fn command_us() -> u64 {
    if !has!(RedisModule_CachedMicroseconds) {
        return now_us();
    }
    u64::try_from(call!(RedisModule_CachedMicroseconds())).unwrap_or(0)
}

/// Milliseconds since the epoch, from the server's clock.
pub fn now_ms() -> u64 {
    u64::try_from(call!(RedisModule_Milliseconds())).unwrap_or(0)
}

/// Microseconds of a clock that is never set, for differences.
pub fn monotonic_us() -> u64 {
    call!(RedisModule_MonotonicMicroseconds())
}

/// A draw from 0..1, 53 bits of the server's random source.
pub fn random() -> f64 {
    let mut bytes = [0u8; 8];
    call!(RedisModule_GetRandomBytes(bytes.as_mut_ptr(), bytes.len()));
    (u64::from_ne_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
}

/// Used memory as a share of `maxmemory`; 0 without a limit.
pub fn used_memory_ratio() -> f32 {
    call!(RedisModule_GetUsedMemoryRatio())
}

/// Whether writes outside a client's command must wait: clients are paused, a failover is under way.
pub fn avoids_replica_traffic() -> bool {
    call!(RedisModule_AvoidReplicaTraffic()) == 1
}

/// Address and port of a connected client.
pub fn client_address(id: u64) -> Option<String> {
    // SAFETY: plain numbers and characters, for which zero is a value.
    let mut info: raw::RedisModuleClientInfo = unsafe { std::mem::zeroed() };
    info.version = 1;
    if call!(RedisModule_GetClientInfoById(std::ptr::from_mut(&mut info).cast(), id)) != OK {
        return None;
    }
    let address: Vec<u8> = info.addr.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
    Some(format!("{}:{}", String::from_utf8_lossy(&address), info.port))
}

/// Whether CLIENT UNBLOCK may be allowed on parked clients (see `blocked`).
pub fn can_time_out_clients() -> bool {
    let is_7_2 = has!(RedisModule_SetCommandACLCategories) && !has!(RedisModule_AddACLCategory);
    !is_7_2
}

/// Whether a reply can be lost when CLIENT UNBLOCK meets a wake in the same turn: before 7.2.
pub fn can_lose_replies() -> bool {
    !has!(RedisModule_SetCommandACLCategories)
}

/// Writes one line to the server's log. `line` must be free of NUL.
pub fn log(level: &CStr, line: &CStr) {
    // A null context: the line is prefixed with "module" rather than the module's name, and it can be written from
    // anywhere. The format is fixed: a message as the format would let client bytes with `%` crash the server.
    call!(RedisModule_Log(std::ptr::null_mut(), level.as_ptr(), c"<corral> %s".as_ptr(), line.as_ptr()));
}

pub(super) const OK: i32 = raw::REDISMODULE_OK as i32;
