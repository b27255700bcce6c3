//! Registration of settings with the server's CONFIG.
//!
//! # Safety contract
//!
//! The private data of each setting is a `&'static` to it, so it is valid whenever the server calls.

use std::ffi::{c_char, c_int, c_longlong, c_void, CString};

use redis_module::raw;

use super::argv::bytes;
use super::context::OK;
use super::{call, Context};
use crate::redis::guard::guarded;
use crate::redis::settings::{Decimal, Flag, Number};

const ERR: c_int = raw::REDISMODULE_ERR as c_int;

pub fn register_number(context: &Context, setting: &'static Number) -> bool {
    let flags = raw::REDISMODULE_CONFIG_DEFAULT;
    let data = std::ptr::from_ref(setting).cast_mut().cast();
    let range = setting.range();
    call!(RedisModule_RegisterNumericConfig(
        context.raw,
        setting.name.as_ptr(),
        i64::try_from(setting.get()).unwrap_or(i64::MAX),
        flags,
        i64::try_from(*range.start()).unwrap_or(i64::MAX),
        i64::try_from(*range.end()).unwrap_or(i64::MAX),
        Some(get_number),
        Some(set_number),
        None,
        data
    )) == OK
}

pub fn register_flag(context: &Context, setting: &'static Flag) -> bool {
    let data = std::ptr::from_ref(setting).cast_mut().cast();
    call!(RedisModule_RegisterBoolConfig(
        context.raw,
        setting.name.as_ptr(),
        c_int::from(setting.get()),
        raw::REDISMODULE_CONFIG_DEFAULT,
        Some(get_flag),
        Some(set_flag),
        None,
        data
    )) == OK
}

pub fn register_decimal(context: &Context, setting: &'static Decimal) -> bool {
    let data = std::ptr::from_ref(setting).cast_mut().cast();
    let default = CString::new(setting.text()).unwrap_or_default();
    call!(RedisModule_RegisterStringConfig(
        context.raw,
        setting.name.as_ptr(),
        default.as_ptr(),
        raw::REDISMODULE_CONFIG_DEFAULT,
        Some(get_decimal),
        Some(set_decimal),
        None,
        data
    )) == OK
}

/// Takes over what the configuration file says.
pub fn load(context: &Context) -> bool {
    call!(RedisModule_LoadConfigs(context.raw)) == OK
}

guarded! {
    fn get_number(_name: *const c_char, data: *mut c_void) -> c_longlong, else { 0 } {
        // SAFETY: the reference given at registration.
        unsafe { data.cast::<Number>().as_ref() }.map_or(0, |setting| i64::try_from(setting.get()).unwrap_or(i64::MAX))
    }
}

guarded! {
    fn set_number(
        _name: *const c_char,
        value: c_longlong,
        data: *mut c_void,
        error: *mut *mut raw::RedisModuleString,
    ) -> c_int, else { ERR } {
        // SAFETY: as in `get_number`.
        let Some(setting) = (unsafe { data.cast::<Number>().as_ref() }) else { return ERR };
        refuse(error, u64::try_from(value).map_err(|_| setting.complaint()).and_then(|value| setting.set(value)))
    }
}

guarded! {
    fn get_flag(_name: *const c_char, data: *mut c_void) -> c_int, else { 0 } {
        // SAFETY: the reference given at registration.
        unsafe { data.cast::<Flag>().as_ref() }.map_or(0, |setting| c_int::from(setting.get()))
    }
}

guarded! {
    fn set_flag(
        _name: *const c_char,
        value: c_int,
        data: *mut c_void,
        _error: *mut *mut raw::RedisModuleString,
    ) -> c_int, else { ERR } {
        // SAFETY: as in `get_flag`.
        if let Some(setting) = unsafe { data.cast::<Flag>().as_ref() } {
            setting.set(value != 0);
        }
        OK
    }
}

guarded! {
    // The server does not free what a string setting returns: the string is made once per value and kept.
    fn get_decimal(_name: *const c_char, data: *mut c_void) -> *mut raw::RedisModuleString, else {
        std::ptr::null_mut()
    } {
        // SAFETY: the reference given at registration.
        let Some(setting) = (unsafe { data.cast::<Decimal>().as_ref() }) else { return std::ptr::null_mut() };
        let text = setting.text();
        setting.shown.with(&text, |text| call!(RedisModule_CreateString(std::ptr::null_mut(), text.as_ptr().cast(), text.len())),
            |old| call!(RedisModule_FreeString(std::ptr::null_mut(), old)))
    }
}

guarded! {
    fn set_decimal(
        _name: *const c_char,
        value: *mut raw::RedisModuleString,
        data: *mut c_void,
        error: *mut *mut raw::RedisModuleString,
    ) -> c_int, else { ERR } {
        // SAFETY: as in `get_decimal`.
        let Some(setting) = (unsafe { data.cast::<Decimal>().as_ref() }) else { return ERR };
        // SAFETY: the server's string, alive during this call.
        refuse(error, setting.parse(unsafe { bytes(value) }))
    }
}

/// Hands the complaint to the server, if there is one.
fn refuse(error: *mut *mut raw::RedisModuleString, result: Result<(), String>) -> c_int {
    let Err(complaint) = result else { return OK };
    let string = call!(RedisModule_CreateString(std::ptr::null_mut(), complaint.as_ptr().cast(), complaint.len()));
    // SAFETY: where the server waits for a string of ours, which it frees.
    if let Some(slot) = unsafe { error.as_mut() } {
        *slot = string;
    }
    ERR
}

/// The server's string for a setting's present text, remade only when the text changed.
#[derive(Debug)]
pub struct Shown(std::sync::Mutex<Option<(String, usize)>>);

impl Shown {
    pub const fn new() -> Self {
        Self(std::sync::Mutex::new(None))
    }

    fn with(
        &self,
        text: &str,
        make: impl FnOnce(&str) -> *mut raw::RedisModuleString,
        free: impl FnOnce(*mut raw::RedisModuleString),
    ) -> *mut raw::RedisModuleString {
        let mut shown = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*shown {
            Some((present, string)) if present == text => *string as *mut raw::RedisModuleString,
            _ => {
                if let Some((_, old)) = shown.take() {
                    free(old as *mut raw::RedisModuleString);
                }
                let string = make(text);
                *shown = Some((text.to_owned(), string as usize));
                string
            }
        }
    }
}
