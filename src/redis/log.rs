//! The server's log: every line the module can write.

use std::ffi::{CStr, CString};

use super::refusal::legible;
use super::sys::context;

const WARNING: &CStr = c"warning";
const NOTICE: &CStr = c"notice";

pub fn loaded() {
    write(NOTICE, &format!("version {} loaded", env!("CARGO_PKG_VERSION")));
}

pub fn cannot_load(why: &str) {
    write(WARNING, &format!("cannot be loaded: {why}"));
}

pub fn panic_caught(place: &str, panic: &str) {
    write(WARNING, &format!("panic caught in {place}, please report it: {panic}"));
}

pub fn unreadable_entry(why: &str) {
    write(WARNING, &format!("an entry cannot be read: {why}"));
}

/// One expired lease, with how many more lines like it were left out since the last.
pub fn lease_expired(db: u32, key: &[u8], age_ms: u64, holder: &str, left_out: u64) {
    let more = if left_out == 0 { String::new() } else { format!(" ({left_out} more since the last such line)") };
    let key = legible(key);
    write(WARNING, &format!("lease expired: key '{key}' in db {db}, held for {age_ms} ms by {holder}{more}"));
}

fn write(level: &CStr, line: &str) {
    // The server cuts at 1024 bytes; a NUL would end the line, other control characters would forge lines.
    let line: String = line.chars().take(900).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if let Ok(line) = CString::new(line) {
        context::log(level, &line);
    }
}
