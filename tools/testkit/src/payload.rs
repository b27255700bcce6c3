//! What DUMP gives and RESTORE takes, and what somebody can make of it.

use crc::{Crc, CRC_64_REDIS};

use crate::{Client, Reply};

/// The version of the RDB format, then the checksum.
pub const FOOTER: usize = 10;
const CHECKSUM: usize = 8;
/// Moments and tokens take seven bytes of an entry's header.
pub const WIDE: usize = 7;

pub fn dump(client: &mut Client, key: &str) -> Vec<u8> {
    let Reply::Text(payload) = client.run(&format!("DUMP {key}")) else { panic!("no dump of {key}") };
    payload
}

pub fn restore(client: &mut Client, key: &str, payload: &[u8]) -> Reply {
    client.call(&[b"RESTORE", key.as_bytes(), b"0", payload, b"REPLACE"])
}

/// Makes the checksum right for what stands before it.
pub fn sealed(mut payload: Vec<u8>) -> Vec<u8> {
    let body = payload.len() - CHECKSUM;
    let checksum = Crc::<u64>::new(&CRC_64_REDIS).checksum(&payload[..body]);
    payload[body..].copy_from_slice(&checksum.to_le_bytes());
    payload
}

/// Another number where, so many bytes behind the beginning of this text, a number stands. The server must not compress
/// what it dumps.
pub fn forged(payload: &[u8], text: &[u8], after: usize, number: i64) -> Vec<u8> {
    let found = payload.windows(text.len()).position(|window| window == text).expect("it is in the dump");
    let (place, mut payload) = (found + after, payload.to_vec());
    payload[place..place + WIDE].copy_from_slice(&wide(number));
    sealed(payload)
}

/// A moment or a token as it stands in a header.
pub fn wide(number: i64) -> [u8; WIDE] {
    number.to_le_bytes()[..WIDE].try_into().unwrap()
}
