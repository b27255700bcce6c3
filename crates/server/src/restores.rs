//! Clients' RESTOREs of our type, kept out while a master's data set is loaded beside the one that is served.
//!
//! Only then are clients served in the middle of a load, and nothing that the server offers tells `rdb_load` whether the
//! payload at hand is the master's, which is to be believed, or a client's, which is not. So for as long as such a load
//! lasts a command filter looks at RESTORE; at any other time there is none, and nobody pays for it. The payload is taken
//! away, and the server refuses the call in its own words.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use redis_module::raw;

use crate::argv::bytes;
use crate::{Context, Module};

/// The filter that is registered.
static FILTER: AtomicPtr<raw::RedisModuleCommandFilter> = AtomicPtr::new(null_mut());

/// From now on, until [`admit`].
pub fn keep_out<M: Module>(context: &Context) {
    if FILTER.load(Relaxed).is_null() {
        FILTER.store(call!(RedisModule_RegisterCommandFilter(context.raw, Some(filter::<M>), 0)), Relaxed);
    }
}

pub fn admit(context: &Context) {
    let filter = FILTER.swap(null_mut(), Relaxed);
    if !filter.is_null() {
        call!(RedisModule_UnregisterCommandFilter(context.raw, filter));
    }
}

guarded! {
    fn filter<M: Module>(call: *mut raw::RedisModuleCommandFilterCtx), else {} {
        const PAYLOAD: i32 = 3;
        let word = |at| {
            let string = call!(RedisModule_CommandFilterArgGet(call, at));
            // SAFETY: an argument of the call that is filtered, alive during this callback.
            if string.is_null() { &[][..] } else { unsafe { bytes(string) } }
        };
        let restores = [&b"RESTORE"[..], b"RESTORE-ASKING"].iter().any(|name| word(0).eq_ignore_ascii_case(name));
        if restores && is_of(M::TYPE_NAME.to_bytes(), word(PAYLOAD)) {
            // The server takes it over.
            let nothing = call!(RedisModule_CreateString(null_mut(), c"".as_ptr(), 0));
            call!(RedisModule_CommandFilterArgReplace(call, PAYLOAD, nothing));
        }
    }
}

/// Whether a payload is a value of the type of this name, in whatever encoding.
fn is_of(name: &[u8], payload: &[u8]) -> bool {
    /// A module's value, and that its type's number of 64 bits follows.
    const MODULE: [u8; 2] = [7, 0x81];
    let Some(number) = payload.strip_prefix(&MODULE).and_then(|rest| rest.first_chunk::<8>()) else { return false };
    // Nine characters of six bits, then ten bits of the encoding.
    const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = |wanted: &u8| CHARACTERS.iter().position(|character| character == wanted).unwrap_or(0) as u64;
    let wanted = name.iter().fold(0, |number, character| number << 6 | place(character));
    u64::from_be_bytes(*number) >> 10 == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_known_by_its_types_name() {
        let payload = [7, 129, 114, 138, 235, 106, 89, 30, 200, 2, 5, 31];
        assert!(is_of(b"corralkey", &payload) && !is_of(b"corralkez", &payload));
        assert!(!is_of(b"corralkey", &payload[..9]) && !is_of(b"corralkey", b"") && !is_of(b"corralkey", b"\x00\x01a"));
    }
}
