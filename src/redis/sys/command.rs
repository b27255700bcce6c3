//! Registration of commands with their documentation.
//!
//! # Safety contract
//!
//! The structures handed to RM_SetCommandInfo live on the stack during the call; the server copies what they point to.

use std::ffi::{c_int, CStr, CString};
use std::ptr::null;

use redis_module::raw;

use super::context::OK;
use super::{call, has, recover, Argv, Context};
use crate::redis::guard::{catch, guarded};
use crate::redis::refusal::{Refusal, INTERNAL};
use crate::redis::resets;

/// One command: what the server is told of it, and what it does.
pub trait Command {
    const SPEC: Spec;

    /// Runs the command. The reply is sent last, so that an error or a panic before leaves room for its own.
    fn run(context: &Context, args: Argv) -> Result<(), Refusal>;
}

/// What the server is told of a command.
pub struct Spec {
    pub name: &'static CStr,
    /// RM_CreateCommand's flags.
    pub flags: &'static CStr,
    /// Arguments with the command's name; negative for "at least".
    pub arity: c_int,
    pub keys: Keys,
    pub summary: &'static CStr,
    pub complexity: &'static CStr,
    /// Tips for clients and proxies, separated by blanks; empty for none.
    pub tips: &'static CStr,
    pub args: &'static [Arg],
}

/// Where a command's keys are, and what it does to them.
#[derive(Clone, Copy)]
pub enum Keys {
    None,
    /// The first argument.
    One(Access),
    /// Every argument.
    All(Access),
    /// As many as the first argument says.
    Counted(Access),
}

#[derive(Clone, Copy)]
pub enum Access {
    Read,
    /// Reads and changes.
    Update,
    /// Changes without looking.
    Overwrite,
}

/// One documented argument.
#[derive(Clone, Copy)]
pub struct Arg {
    pub name: &'static CStr,
    pub kind: Kind,
    /// The word before it, if any.
    pub token: Option<&'static CStr>,
    pub optional: bool,
    pub multiple: bool,
}

#[derive(Clone, Copy)]
pub enum Kind {
    Key,
    String,
    Integer,
    Double,
    UnixTime,
    /// The token alone.
    Flag,
    OneOf(&'static [Arg]),
}

impl Arg {
    pub const fn new(name: &'static CStr, kind: Kind) -> Self {
        Self { name, kind, token: None, optional: false, multiple: false }
    }

    /// `[TOKEN name]`
    pub const fn option(token: &'static CStr, name: &'static CStr, kind: Kind) -> Self {
        Self { name, kind, token: Some(token), optional: true, multiple: false }
    }

    /// `[TOKEN]`
    pub const fn flag(token: &'static CStr, name: &'static CStr) -> Self {
        Self { name, kind: Kind::Flag, token: Some(token), optional: true, multiple: false }
    }

    /// `[one | another]`
    pub const fn one_of(name: &'static CStr, choices: &'static [Arg]) -> Self {
        Self { name, kind: Kind::OneOf(choices), token: None, optional: true, multiple: false }
    }

    /// `name [name ...]`
    pub const fn many(name: &'static CStr, kind: Kind) -> Self {
        Self { name, kind, token: None, optional: false, multiple: true }
    }
}

/// Registers `C`. The error says what the server declined.
pub fn register<C: Command>(context: &Context) -> Result<(), String> {
    let spec = &C::SPEC;
    let (first, last, step) = match spec.keys {
        // The old form cannot describe a counted list. Its keys are found by the key spec below, and for a cluster's
        // redirects, which look at the old form alone, by asking the command itself: `getkeys-api` and `tell_keys`.
        Keys::None | Keys::Counted(_) => (0, 0, 0),
        Keys::One(_) => (1, 1, 1),
        Keys::All(_) => (1, -1, 1),
    };
    let (name, flags) = (spec.name.as_ptr(), spec.flags.as_ptr());
    if call!(RedisModule_CreateCommand(context.raw, name, Some(handle::<C>), flags, first, last, step)) != OK {
        return Err(format!("the server declined the command {}", spec.name.to_string_lossy()));
    }
    let command = call!(RedisModule_GetCommand(context.raw, name));
    if command.is_null() {
        return Err(format!("the server lost the command {}", spec.name.to_string_lossy()));
    }
    if !describe(command, spec) {
        return Err(format!("the server declined the documentation of {}", spec.name.to_string_lossy()));
    }
    if has!(RedisModule_SetCommandACLCategories) {
        let categories = CString::new(acl_categories(spec)).unwrap_or_default();
        if call!(RedisModule_SetCommandACLCategories(command, categories.as_ptr())) != OK {
            return Err(format!("the server declined the ACL categories of {}", spec.name.to_string_lossy()));
        }
    }
    resets::register(spec.name);
    Ok(())
}

/// Redis's own categories, which it gives to its own commands by their flags but not to a module's; and ours, where a
/// module can add one.
fn acl_categories(spec: &Spec) -> String {
    let flags = spec.flags.to_string_lossy();
    let has_flag = |flag| flags.split(' ').any(|given| given == flag);
    let mut categories =
        vec![if has_flag("write") { "write" } else { "read" }, if has_flag("fast") { "fast" } else { "slow" }];
    if has_flag("blocking") {
        categories.push("blocking");
    }
    if has!(RedisModule_AddACLCategory) {
        categories.push(ACL_CATEGORY);
    }
    categories.join(" ")
}

/// The ACL category of all our commands, where the server lets modules add one.
const ACL_CATEGORY: &str = "cache";

/// Adds the category `@cache`. Before the commands.
pub fn add_acl_category(context: &Context) {
    if has!(RedisModule_AddACLCategory) {
        let category = CString::new(ACL_CATEGORY).unwrap_or_default();
        call!(RedisModule_AddACLCategory(context.raw, category.as_ptr()));
    }
}

guarded! {
    fn handle<C: Command>(
        context: *mut raw::RedisModuleCtx,
        argv: *mut *mut raw::RedisModuleString,
        argc: c_int,
    ) -> c_int, else {
        // SAFETY: the context of this callback.
        catch("reply", || unsafe { Context::new(context) }.reply_error(INTERNAL));
        recover(context);
        OK
    } {
        // SAFETY: the context of this callback.
        let context = unsafe { Context::new(context) };
        // SAFETY: the arguments of this callback, which outlive it.
        let args = unsafe { Argv::new(argv, argc) };
        if matches!(C::SPEC.keys, Keys::Counted(_)) && call!(RedisModule_IsKeysPositionRequest(context.raw)) == 1 {
            tell_keys(&context, args);
            return OK;
        }
        if matches!(C::SPEC.keys, Keys::None) && context.say() {
            return OK;
        }
        let given = argc;
        let fits = if C::SPEC.arity < 0 { given >= -C::SPEC.arity } else { given == C::SPEC.arity };
        if !fits {
            context.reply_wrong_arity();
        } else if let Err(refusal) = C::run(&context, args) {
            context.reply_error(&refusal.sentence());
        }
        OK
    }
}

/// Says where the keys of a counted list are, of a call that may be anything. Of a wrong count there are no keys to tell:
/// the command itself refuses it.
fn tell_keys(context: &Context, args: Argv) {
    let count = args.get(0).and_then(|word| std::str::from_utf8(word).ok()?.parse::<usize>().ok());
    let Some(count) = count.filter(|count| *count < args.len()) else { return };
    // After the command's name and the count.
    for position in (2..).take(count) {
        call!(RedisModule_KeyAtPos(context.raw, position));
    }
}

fn describe(command: *mut raw::RedisModuleCommand, spec: &Spec) -> bool {
    const SIZES: raw::RedisModuleCommandInfoVersion = raw::RedisModuleCommandInfoVersion {
        version: 1,
        sizeof_historyentry: size_of::<raw::RedisModuleCommandHistoryEntry>(),
        sizeof_keyspec: size_of::<raw::RedisModuleCommandKeySpec>(),
        sizeof_arg: size_of::<raw::RedisModuleCommandArg>(),
    };
    let mut keys = key_specs(spec.keys);
    // Kept alive until the call below; each list ends with a zeroed element.
    let mut choices: Vec<Vec<raw::RedisModuleCommandArg>> = Vec::new();
    let mut args: Vec<raw::RedisModuleCommandArg> = spec.args.iter().map(|arg| raw_arg(arg, &mut choices)).collect();
    args.push(zeroed_arg());
    let info = raw::RedisModuleCommandInfo {
        version: &SIZES,
        summary: spec.summary.as_ptr(),
        complexity: spec.complexity.as_ptr(),
        since: c"0.1.0".as_ptr(),
        history: std::ptr::null_mut(),
        tips: if spec.tips.is_empty() { null() } else { spec.tips.as_ptr() },
        arity: spec.arity,
        key_specs: if keys.len() > 1 { keys.as_mut_ptr() } else { std::ptr::null_mut() },
        args: args.as_mut_ptr(),
    };
    call!(RedisModule_SetCommandInfo(command, &info)) == OK
}

fn raw_arg(arg: &Arg, choices: &mut Vec<Vec<raw::RedisModuleCommandArg>>) -> raw::RedisModuleCommandArg {
    let mut subargs = std::ptr::null_mut();
    let kind = match arg.kind {
        Kind::Key => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY,
        Kind::String => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING,
        Kind::Integer => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_INTEGER,
        Kind::Double => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_DOUBLE,
        Kind::UnixTime => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_UNIX_TIME,
        Kind::Flag => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PURE_TOKEN,
        Kind::OneOf(list) => {
            let mut inner: Vec<_> =
                list.iter().map(|choice| raw_arg(&Arg { optional: false, ..*choice }, choices)).collect();
            inner.push(zeroed_arg());
            // Moving the vector into the list does not move its elements.
            subargs = inner.as_mut_ptr();
            choices.push(inner);
            raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF
        }
    };
    let optional = if arg.optional { raw::REDISMODULE_CMD_ARG_OPTIONAL } else { 0 };
    let multiple = if arg.multiple { raw::REDISMODULE_CMD_ARG_MULTIPLE } else { 0 };
    raw::RedisModuleCommandArg {
        name: arg.name.as_ptr(),
        type_: kind,
        key_spec_index: if matches!(arg.kind, Kind::Key) { 0 } else { -1 },
        token: arg.token.map_or(null(), CStr::as_ptr),
        flags: (optional | multiple) as c_int,
        subargs,
        ..zeroed_arg()
    }
}

const fn zeroed_arg() -> raw::RedisModuleCommandArg {
    // SAFETY: numbers and pointers, for which zero is a value, and the end mark the server asks for.
    unsafe { std::mem::zeroed() }
}

/// The key specs and a zeroed end mark.
fn key_specs(keys: Keys) -> Vec<raw::RedisModuleCommandKeySpec> {
    let access = match keys {
        Keys::None => None,
        Keys::One(access) | Keys::All(access) | Keys::Counted(access) => Some(access),
    };
    // SAFETY: as for `zeroed_arg`.
    let zeroed: raw::RedisModuleCommandKeySpec = unsafe { std::mem::zeroed() };
    let Some(access) = access else { return vec![zeroed] };
    let flags = match access {
        Access::Read => raw::REDISMODULE_CMD_KEY_RO | raw::REDISMODULE_CMD_KEY_ACCESS,
        Access::Update => {
            raw::REDISMODULE_CMD_KEY_RW | raw::REDISMODULE_CMD_KEY_ACCESS | raw::REDISMODULE_CMD_KEY_UPDATE
        }
        Access::Overwrite => raw::REDISMODULE_CMD_KEY_OW | raw::REDISMODULE_CMD_KEY_UPDATE,
    };
    let mut spec = raw::RedisModuleCommandKeySpec {
        flags: u64::from(flags),
        begin_search_type: raw::RedisModuleKeySpecBeginSearchType_REDISMODULE_KSPEC_BS_INDEX,
        find_keys_type: raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_RANGE,
        ..zeroed
    };
    spec.bs.index.pos = 1;
    match keys {
        Keys::Counted(_) => {
            spec.find_keys_type = raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_KEYNUM;
            spec.fk.keynum =
                raw::RedisModuleCommandKeySpec__bindgen_ty_2__bindgen_ty_2 { keynumidx: 0, firstkey: 1, keystep: 1 };
        }
        _ => {
            let lastkey = if matches!(keys, Keys::All(_)) { -1 } else { 0 };
            spec.fk.range =
                raw::RedisModuleCommandKeySpec__bindgen_ty_2__bindgen_ty_1 { lastkey, keystep: 1, limit: 0 };
        }
    }
    vec![spec, zeroed]
}
