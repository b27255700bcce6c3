//! The server's log: every line the module can write.

use std::ffi::{CStr, CString};

use super::refusal::legible;
use super::sys::context;

const WARNING: &CStr = c"warning";
const NOTICE: &CStr = c"notice";

/// Keeps lines of one kind from flooding the log: one a second, which says how many were left out since the last.
#[derive(Default, Debug)]
pub struct Throttle {
    /// When the last line was written, in ms since the epoch.
    last_ms: u64,
    left_out: u64,
}

impl Throttle {
    const EVERY_MS: u64 = 1000;

    /// Whether a line may be written now; if so, how many were left out before it.
    pub fn admit(&mut self, now_ms: u64) -> Option<u64> {
        // Also after a clock that was set back: silence until it has caught up would hide what happens now.
        if now_ms >= self.last_ms && now_ms - self.last_ms < Self::EVERY_MS {
            self.left_out += 1;
            return None;
        }
        self.last_ms = now_ms;
        Some(std::mem::take(&mut self.left_out))
    }
}

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
    let (key, more) = (legible(key), more(left_out));
    write(WARNING, &format!("lease expired: key '{key}' in db {db}, held for {age_ms} ms by {holder}{more}"));
}

/// One caller that was not parked, and `why`.
pub fn waiter_refused(db: u32, key: &[u8], why: &str, left_out: u64) {
    let (key, more) = (legible(key), more(left_out));
    write(WARNING, &format!("waiter refused: key '{key}' in db {db}, {why}; it was told WAIT{more}"));
}

fn more(left_out: u64) -> String {
    if left_out == 0 {
        return String::new();
    }
    format!(" ({left_out} more since the last such line)")
}

fn write(level: &CStr, line: &str) {
    // The server cuts at 1024 bytes; a NUL would end the line, other control characters would forge lines.
    let line: String = line.chars().take(900).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if let Ok(line) = CString::new(line) {
        context::log(level, &line);
    }
}
