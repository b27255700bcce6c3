//! The arguments of a command, read where the server keeps them.

use std::marker::PhantomData;

use redis_module::raw;

use super::call;
use crate::redis::refusal::Refusal;

/// The arguments after the command's name.
#[derive(Clone, Copy)]
pub struct Argv<'a> {
    strings: &'a [*mut raw::RedisModuleString],
}

/// A key's name, as the server's own string: what its API takes.
#[derive(Clone, Copy)]
pub struct KeyName<'a> {
    pub(super) string: *mut raw::RedisModuleString,
    lives: PhantomData<&'a ()>,
}

impl<'a> Argv<'a> {
    /// # Safety
    /// `argv` points to `argc` strings that live for `'a`, as the server promises a command's handler.
    pub(super) unsafe fn new(argv: *mut *mut raw::RedisModuleString, argc: i32) -> Self {
        let count = usize::try_from(argc).unwrap_or(0);
        // SAFETY: the caller's promise; the server never hands out a null argv with an argc above 0.
        let strings = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(argv, count) } };
        Self { strings: strings.get(1..).unwrap_or(&[]) }
    }

    /// # Safety
    /// The strings live for `'a`.
    pub(super) const unsafe fn whole(strings: &'a [*mut raw::RedisModuleString]) -> Self {
        Self { strings }
    }

    pub const fn len(self) -> usize {
        self.strings.len()
    }

    /// The bytes of argument `index`, counted from the one after the command's name.
    pub fn get(self, index: usize) -> Option<&'a [u8]> {
        // SAFETY: the promise of `new` and `whole`.
        self.strings.get(index).map(|string| unsafe { bytes(*string) })
    }

    /// The same of an argument that the command's arity promises.
    pub fn word(self, index: usize) -> Result<&'a [u8], Refusal> {
        self.get(index).ok_or(Refusal::Absent)
    }

    /// Argument `index`, promised in the same way, as a key's name.
    pub fn key(self, index: usize) -> Result<KeyName<'a>, Refusal> {
        let string = self.strings.get(index).ok_or(Refusal::Absent)?;
        Ok(KeyName { string: *string, lives: PhantomData })
    }

    /// The arguments from `index` on, as bytes.
    pub fn from(self, index: usize) -> impl Iterator<Item = &'a [u8]> {
        // SAFETY: the promise of `new` and `whole`.
        self.strings.get(index..).unwrap_or(&[]).iter().map(|string| unsafe { bytes(*string) })
    }
}

impl<'a> KeyName<'a> {
    /// # Safety
    /// `string` is a string of the server that lives for `'a`.
    pub(super) const unsafe fn new(string: *mut raw::RedisModuleString) -> Self {
        Self { string, lives: PhantomData }
    }

    pub fn bytes(self) -> &'a [u8] {
        // SAFETY: the promise of `new`.
        unsafe { bytes(self.string) }
    }
}

/// The bytes of one of the server's strings.
///
/// # Safety
/// The string lives, unchanged, for `'a`.
pub(super) unsafe fn bytes<'a>(string: *const raw::RedisModuleString) -> &'a [u8] {
    let mut length = 0;
    let start = call!(RedisModule_StringPtrLen(string, &mut length));
    if start.is_null() {
        return &[];
    }
    // SAFETY: the server returns the string's own buffer and its length.
    unsafe { std::slice::from_raw_parts(start.cast(), length) }
}
