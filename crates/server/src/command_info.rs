//! The documentation of commands: COMMAND DOCS, COMMAND INFO's key specs.
//!
//! # Safety contract
//!
//! The structures handed to RM_SetCommandInfo live on the stack during the call; the server copies what they point to.

use std::ffi::{c_int, CStr};
use std::ptr::{null, null_mut};

use redis_module::raw;

use crate::api::OK;
use crate::command::{Keys, Spec};

/// What a command does to its keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Read,
    /// Reads and changes.
    Update,
    /// Changes without looking.
    Overwrite,
}

/// One documented argument.
#[derive(Clone)]
pub struct Arg {
    pub name: &'static CStr,
    pub kind: Kind,
    /// The word before it, if any.
    pub token: Option<&'static CStr>,
    pub optional: bool,
    pub multiple: bool,
}

#[derive(Clone)]
pub enum Kind {
    Key,
    String,
    Integer,
    Double,
    UnixTime,
    /// The token alone.
    Flag,
    OneOf(Vec<Arg>),
    /// Several, one after the other.
    Block(Vec<Arg>),
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
    pub const fn one_of(name: &'static CStr, choices: Vec<Arg>) -> Self {
        Self { name, kind: Kind::OneOf(choices), token: None, optional: true, multiple: false }
    }

    /// `name [name ...]`
    pub const fn many(name: &'static CStr, kind: Kind) -> Self {
        Self { name, kind, token: None, optional: false, multiple: true }
    }
}

/// Hands the documentation to the server. Says whether the server took it.
pub(crate) fn describe(command: *mut raw::RedisModuleCommand, spec: &Spec) -> bool {
    const SIZES: raw::RedisModuleCommandInfoVersion = raw::RedisModuleCommandInfoVersion {
        version: 1,
        sizeof_historyentry: size_of::<raw::RedisModuleCommandHistoryEntry>(),
        sizeof_keyspec: size_of::<raw::RedisModuleCommandKeySpec>(),
        sizeof_arg: size_of::<raw::RedisModuleCommandArg>(),
    };
    let mut keys = key_specs(spec.keys);
    // Kept alive until the call below; each list ends with a zeroed element.
    let mut inner: Vec<Vec<raw::RedisModuleCommandArg>> = Vec::new();
    let mut args: Vec<raw::RedisModuleCommandArg> = (spec.args)().iter().map(|arg| raw_arg(arg, &mut inner)).collect();
    args.push(zeroed_arg());
    let info = raw::RedisModuleCommandInfo {
        version: &SIZES,
        summary: spec.summary.as_ptr(),
        complexity: spec.complexity.as_ptr(),
        since: spec.since.as_ptr(),
        history: null_mut(),
        tips: if spec.tips.is_empty() { null() } else { spec.tips.as_ptr() },
        arity: spec.arity,
        key_specs: if keys.len() > 1 { keys.as_mut_ptr() } else { null_mut() },
        args: args.as_mut_ptr(),
    };
    call!(RedisModule_SetCommandInfo(command, &info)) == OK
}

fn raw_arg(arg: &Arg, inner: &mut Vec<Vec<raw::RedisModuleCommandArg>>) -> raw::RedisModuleCommandArg {
    let (kind, parts) = match &arg.kind {
        Kind::Key => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY, None),
        Kind::String => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING, None),
        Kind::Integer => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_INTEGER, None),
        Kind::Double => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_DOUBLE, None),
        Kind::UnixTime => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_UNIX_TIME, None),
        Kind::Flag => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PURE_TOKEN, None),
        Kind::OneOf(choices) => {
            // A choice is not optional: the choosing is.
            let choices = choices.iter().map(|choice| Arg { optional: false, ..choice.clone() }).collect::<Vec<_>>();
            (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF, Some(choices))
        }
        Kind::Block(parts) => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_BLOCK, Some(parts.clone())),
    };
    let subargs = parts.map_or(null_mut(), |parts| {
        let mut list: Vec<_> = parts.iter().map(|part| raw_arg(part, inner)).collect();
        list.push(zeroed_arg());
        // Moving the vector into the list does not move its elements.
        let start = list.as_mut_ptr();
        inner.push(list);
        start
    });
    let optional = if arg.optional { raw::REDISMODULE_CMD_ARG_OPTIONAL } else { 0 };
    let multiple = if arg.multiple { raw::REDISMODULE_CMD_ARG_MULTIPLE } else { 0 };
    raw::RedisModuleCommandArg {
        name: arg.name.as_ptr(),
        type_: kind,
        key_spec_index: if matches!(&arg.kind, Kind::Key) { 0 } else { -1 },
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
    // SAFETY: as for `zeroed_arg`.
    let zeroed: raw::RedisModuleCommandKeySpec = unsafe { std::mem::zeroed() };
    let Some(access) = keys.access() else { return vec![zeroed] };
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
