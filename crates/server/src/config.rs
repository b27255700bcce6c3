//! Registration of settings with the server's CONFIG.
//!
//! # Safety contract
//!
//! The private data of each setting is a `&'static Registered`, so it is valid whenever the server calls.

use std::borrow::Cow;
use std::ffi::{c_char, c_int, c_longlong, c_void, CStr, CString};
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

use redis_module::raw;

use crate::api::{ERR, OK};
use crate::argv::bytes;
use crate::context::OwnedString;
use crate::guard::catch;
use crate::{Context, Module};

/// One setting, as the server sees it.
pub trait Setting: Sync {
    /// Without the module's name, which the server puts before it.
    fn name(&self) -> &'static CStr;

    /// What kind of value it takes. Always the same.
    fn shape(&self) -> Shape;

    /// The present value, of the setting's shape. At registration it is the default: what CONFIG REWRITE compares with.
    fn get(&self) -> Value<'_>;

    /// Takes a value of the setting's shape, or says what is allowed. [`Module::settings_changed`] comes after, when all
    /// settings of one CONFIG SET are set.
    fn set(&self, value: Value<'_>) -> Result<(), String>;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// A whole number; the server sees to the range.
    Number {
        min: i64,
        max: i64,
    },
    /// yes or no.
    Flag,
    Text,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    Number(i64),
    Flag(bool),
    Text(Cow<'a, [u8]>),
}

/// A setting that the server knows.
struct Registered {
    setting: &'static dyn Setting,
    shown: Shown,
}

/// The server's string for a text setting's present value: the server does not free what it is shown, so a string is
/// made anew only when the text changed, and kept until then.
struct Shown(Mutex<Option<OwnedString>>);

// SAFETY: only ever used on the main thread (contract 1 of the crate); being in a static asks for the marker.
unsafe impl Sync for Shown {}

/// Registers a setting. The error says what the server declined.
pub fn register<M: Module>(context: &Context, setting: &'static dyn Setting) -> Result<(), String> {
    // Never freed: the server may ask as long as it runs.
    let registered: &'static Registered = Box::leak(Box::new(Registered { setting, shown: Shown(Mutex::new(None)) }));
    let data = std::ptr::from_ref(registered).cast_mut().cast();
    let (raw, name, flags) = (context.raw, setting.name().as_ptr(), raw::REDISMODULE_CONFIG_DEFAULT);
    let taken = match (setting.shape(), setting.get()) {
        (Shape::Number { min, max }, Value::Number(default)) => call!(RedisModule_RegisterNumericConfig(
            raw,
            name,
            default,
            flags,
            min,
            max,
            Some(get_number::<M>),
            Some(set_number::<M>),
            Some(apply::<M>),
            data
        )),
        (Shape::Flag, Value::Flag(default)) => call!(RedisModule_RegisterBoolConfig(
            raw,
            name,
            c_int::from(default),
            flags,
            Some(get_flag::<M>),
            Some(set_flag::<M>),
            Some(apply::<M>),
            data
        )),
        (Shape::Text, Value::Text(default)) => {
            let default = CString::new(default.into_owned())
                .map_err(|_| format!("{} must be free of NUL", setting.name().to_string_lossy()))?;
            call!(RedisModule_RegisterStringConfig(
                raw,
                name,
                default.as_ptr(),
                flags,
                Some(get_text::<M>),
                Some(set_text::<M>),
                Some(apply::<M>),
                data
            ))
        }
        _ => ERR,
    };
    if taken != OK {
        return Err(format!("the server declined the setting {}", setting.name().to_string_lossy()));
    }
    Ok(())
}

/// Takes over what the configuration file says, after every setting is registered. False if a value was refused, which
/// the server's log then names.
pub fn load(context: &Context) -> bool {
    call!(RedisModule_LoadConfigs(context.raw)) == OK
}

guarded! {
    fn get_number<M: Module>(_name: *const c_char, data: *mut c_void) -> c_longlong, else { 0 } {
        // SAFETY: the reference given at registration.
        match unsafe { setting(data) }.map(Setting::get) {
            Some(Value::Number(number)) => number,
            _ => 0,
        }
    }
}

guarded! {
    fn set_number<M: Module>(
        _name: *const c_char,
        value: c_longlong,
        data: *mut c_void,
        error: *mut *mut raw::RedisModuleString,
    ) -> c_int, else { refuse_with::<M>(error) } {
        // SAFETY: the reference given at registration, and where the server waits for a complaint.
        unsafe { set(data, Value::Number(value), error) }
    }
}

guarded! {
    fn get_flag<M: Module>(_name: *const c_char, data: *mut c_void) -> c_int, else { 0 } {
        // SAFETY: the reference given at registration.
        match unsafe { setting(data) }.map(Setting::get) {
            Some(Value::Flag(flag)) => c_int::from(flag),
            _ => 0,
        }
    }
}

guarded! {
    fn set_flag<M: Module>(
        _name: *const c_char,
        value: c_int,
        data: *mut c_void,
        error: *mut *mut raw::RedisModuleString,
    ) -> c_int, else { refuse_with::<M>(error) } {
        // SAFETY: the reference given at registration, and where the server waits for a complaint.
        unsafe { set(data, Value::Flag(value != 0), error) }
    }
}

guarded! {
    fn get_text<M: Module>(_name: *const c_char, data: *mut c_void) -> *mut raw::RedisModuleString, else {
        null_mut()
    } {
        // SAFETY: the reference given at registration.
        match unsafe { data.cast::<Registered>().as_ref() } {
            Some(Registered { setting, shown }) => match setting.get() {
                Value::Text(text) => shown.string(&text),
                _ => null_mut(),
            },
            None => null_mut(),
        }
    }
}

guarded! {
    fn set_text<M: Module>(
        _name: *const c_char,
        value: *mut raw::RedisModuleString,
        data: *mut c_void,
        error: *mut *mut raw::RedisModuleString,
    ) -> c_int, else { refuse_with::<M>(error) } {
        // SAFETY: the server's string, alive during this call.
        let text = unsafe { bytes(value) };
        // SAFETY: the reference given at registration, and where the server waits for a complaint.
        unsafe { set(data, Value::Text(text.into()), error) }
    }
}

guarded! {
    fn apply<M: Module>(
        context: *mut raw::RedisModuleCtx,
        _data: *mut c_void,
        error: *mut *mut raw::RedisModuleString,
    ) -> c_int, else { refuse_with::<M>(error) } {
        // SAFETY: the context of this callback.
        let result = M::settings_changed(&unsafe { Context::new(context) });
        // SAFETY: where the server waits for a complaint.
        unsafe { answer(error, result) }
    }
}

/// # Safety
/// `data` is the private data given at registration.
unsafe fn setting(data: *mut c_void) -> Option<&'static dyn Setting> {
    // SAFETY: the caller's promise.
    unsafe { data.cast::<Registered>().as_ref::<'static>() }.map(|registered| registered.setting)
}

/// # Safety
/// As for [`setting`] and [`answer`].
unsafe fn set(data: *mut c_void, value: Value, error: *mut *mut raw::RedisModuleString) -> c_int {
    // SAFETY: the caller's promise.
    let Some(setting) = (unsafe { setting(data) }) else { return ERR };
    // SAFETY: the caller's promise.
    unsafe { answer(error, setting.set(value)) }
}

/// Hands the complaint to the server, if there is one.
///
/// # Safety
/// `error` is null or where the server waits for a string of ours, which it frees.
unsafe fn answer(error: *mut *mut raw::RedisModuleString, result: Result<(), String>) -> c_int {
    let Err(complaint) = result else { return OK };
    // SAFETY: the caller's promise.
    if let Some(slot) = unsafe { error.as_mut() } {
        let complaint = std::mem::ManuallyDrop::new(OwnedString::new(complaint.as_bytes()));
        *slot = complaint.raw;
    }
    ERR
}

/// The fallback of a setter that panicked: a complaint rather than a bare refusal.
fn refuse_with<M: Module>(error: *mut *mut raw::RedisModuleString) -> c_int {
    let sentence = || M::INTERNAL.to_string_lossy().into_owned();
    // SAFETY: where the server waits for a complaint.
    catch::<M, _>("refuse", || unsafe { answer(error, Err(sentence())) }).unwrap_or(ERR)
}

impl Shown {
    fn string(&self, text: &[u8]) -> *mut raw::RedisModuleString {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*shown {
            Some(present) if present.bytes() == text => present.raw,
            // The old one is freed: nobody is shown it any more.
            _ => shown.insert(OwnedString::new(text)).raw,
        }
    }
}
