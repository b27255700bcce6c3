//! The arguments of a command, read where the server keeps them.

use std::marker::PhantomData;

use redis_module::raw;

/// The arguments after the command's name.
#[derive(Clone, Copy)]
pub struct Argv<'a> {
    strings: &'a [*mut raw::RedisModuleString],
}

/// A key's name, as the server's own string: what its API takes.
#[derive(Clone, Copy)]
pub struct KeyName<'a> {
    pub(crate) string: *mut raw::RedisModuleString,
    lives: PhantomData<&'a ()>,
}

/// An argument that the command's arity promised is absent: the command is registered with the wrong arity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Absent;

impl<'a> Argv<'a> {
    /// # Safety
    /// `argv` points to `argc` strings that live for `'a`, as the server promises a command's handler.
    pub(crate) unsafe fn new(argv: *mut *mut raw::RedisModuleString, argc: i32) -> Self {
        let count = usize::try_from(argc).unwrap_or(0);
        // SAFETY: the caller's promise; the server never hands out a null argv with an argc above 0.
        let strings = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(argv, count) } };
        Self { strings: strings.get(1..).unwrap_or(&[]) }
    }

    /// # Safety
    /// The strings live for `'a`.
    pub(crate) const unsafe fn whole(strings: &'a [*mut raw::RedisModuleString]) -> Self {
        Self { strings }
    }

    pub const fn len(self) -> usize {
        self.strings.len()
    }

    pub const fn is_empty(self) -> bool {
        self.strings.is_empty()
    }

    /// The bytes of argument `index`, counted from the one after the command's name.
    #[inline]
    pub fn get(self, index: usize) -> Option<&'a [u8]> {
        // SAFETY: the promise of `new` and `whole`.
        self.strings.get(index).map(|string| unsafe { bytes(*string) })
    }

    /// The same of an argument that the command's arity promises.
    #[inline]
    pub fn word(self, index: usize) -> Result<&'a [u8], Absent> {
        self.get(index).ok_or(Absent)
    }

    /// Argument `index`, promised in the same way, as a key's name.
    #[inline]
    pub fn key(self, index: usize) -> Result<KeyName<'a>, Absent> {
        let string = self.strings.get(index).ok_or(Absent)?;
        Ok(KeyName { string: *string, lives: PhantomData })
    }

    /// The arguments from `index` on, as bytes.
    #[inline]
    pub fn from(self, index: usize) -> impl Iterator<Item = &'a [u8]> {
        // SAFETY: the promise of `new` and `whole`.
        self.strings.get(index..).unwrap_or(&[]).iter().map(|string| unsafe { bytes(*string) })
    }
}

impl<'a> KeyName<'a> {
    /// # Safety
    /// `string` is a string of the server that lives for `'a`.
    pub(crate) const unsafe fn new(string: *mut raw::RedisModuleString) -> Self {
        Self { string, lives: PhantomData }
    }

    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        // SAFETY: the promise of `new`.
        unsafe { bytes(self.string) }
    }
}

/// The bytes of one of the server's strings.
///
/// # Safety
/// The string lives, unchanged, for `'a`.
#[inline]
pub(crate) unsafe fn bytes<'a>(string: *const raw::RedisModuleString) -> &'a [u8] {
    let mut length = 0;
    let start = call!(RedisModule_StringPtrLen(string, &mut length));
    if start.is_null() {
        return &[];
    }
    // SAFETY: the server returns the string's own buffer and its length.
    unsafe { std::slice::from_raw_parts(start.cast(), length) }
}
