//! What is read from an RDB payload, and written to RDB, AOF and digests.
//!
//! # Safety contract
//!
//! Each of these is made by the callback that the server gave its pointer to, and is handed out by reference.

use std::ffi::{c_char, CStr};
use std::ops::Deref;

use redis_module::raw;

/// A payload that is being read.
pub struct Payload {
    pub(crate) io: *mut raw::RedisModuleIO,
}

/// The key whose payload is read, and how it comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoadedKey<'a> {
    pub db: u32,
    /// Not known in a check of a file.
    pub key: Option<&'a [u8]>,
    /// The encoding that the payload was written in.
    pub encoding: i32,
    /// A master's data set is read beside the one that is served.
    pub is_async: bool,
    /// The server reads a file or its master's data set: what it reads is trusted. Neither of the two: a RESTORE.
    pub is_loading: bool,
}

/// A string read from a payload, freed on drop.
pub struct LoadedString {
    start: *mut c_char,
    length: usize,
}

/// A payload that is being written.
pub struct Saved {
    pub(crate) io: *mut raw::RedisModuleIO,
    pub(crate) strings: usize,
}

/// A rewritten AOF.
pub struct Rewritten {
    pub(crate) io: *mut raw::RedisModuleIO,
    pub(crate) key: *mut raw::RedisModuleString,
    pub(crate) command: &'static CStr,
}

/// A digest of the data set.
pub struct Digested {
    pub(crate) raw: *mut raw::RedisModuleDigest,
}

impl Payload {
    /// The next string, as long as there is one.
    pub fn string(&mut self) -> Result<LoadedString, String> {
        let mut length = 0;
        let start = call!(RedisModule_LoadStringBuffer(self.io, &mut length));
        let string = (!start.is_null()).then_some(LoadedString { start, length });
        match string.filter(|_| call!(RedisModule_IsIOError(self.io)) == 0) {
            Some(string) => Ok(string),
            None => Err("payload ends early".to_owned()),
        }
    }
}

impl Deref for LoadedString {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the server's buffer of that length, freed by our drop only.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.length) }
    }
}

impl Drop for LoadedString {
    fn drop(&mut self) {
        call!(RedisModule_Free(self.start.cast()));
    }
}

impl Saved {
    pub fn string(&mut self, bytes: &[u8]) {
        self.strings += 1;
        call!(RedisModule_SaveStringBuffer(self.io, bytes.as_ptr().cast(), bytes.len()));
    }
}

impl Rewritten {
    /// Writes one command with these arguments after the key: one or two.
    pub fn arguments(&mut self, first: &[u8], second: Option<&[u8]>) {
        let (io, name, key) = (self.io, self.command.as_ptr(), self.key);
        let (start, length) = (first.as_ptr(), first.len());
        match second {
            Some(second) => {
                call!(RedisModule_EmitAOF(io, name, c"sbb".as_ptr(), key, start, length, second.as_ptr(), second.len()))
            }
            None => call!(RedisModule_EmitAOF(io, name, c"sb".as_ptr(), key, start, length)),
        }
    }
}

impl Digested {
    /// Strings count in their order.
    pub fn string(&mut self, bytes: &[u8]) {
        call!(RedisModule_DigestAddStringBuffer(self.raw, bytes.as_ptr().cast(), bytes.len()));
    }

    pub fn number(&mut self, number: i64) {
        call!(RedisModule_DigestAddLongLong(self.raw, number));
    }
}
