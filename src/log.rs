//! The server's log: every line the module can write.

use corral_core::error::legible;
use corral_core::token::Token;
use corral_server::log::{write, NOTICE, WARNING};
use corral_server::{clock, Context};

use crate::memory;

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

pub fn panic_caught(place: &str, panic: &str) {
    write(WARNING, &format!("panic caught in {place}, please report it: {panic}"));
}

/// One expired lease, with how many more lines like it were left out since the last.
pub fn lease_expired(context: &Context, db: u32, key: &[u8], token: Token, holder: u64) {
    let now_ms = clock::now_ms();
    let admitted = memory::with(|memory| {
        let wanted = memory.node.settings.log_expired_leases;
        wanted.then(|| memory.expiry_lines.admit(now_ms)).flatten()
    });
    let Some(left_out) = admitted else { return };
    // A token is the moment of its grant, in microseconds, unless clocks disagreed.
    let age_ms = now_ms.saturating_sub(token.get() / 1000);
    let (key, more, holder) = (legible(key), more(left_out), holder_of(context, holder));
    write(WARNING, &format!("lease expired: key '{key}' in db {db}, held for {age_ms} ms by {holder}{more}"));
}

/// The holder as far as this node knows it, for people.
fn holder_of(context: &Context, id: u64) -> String {
    if id == 0 {
        return "a script, or a client of another node".to_owned();
    }
    match context.client_address(id) {
        Some(address) => format!("client {id} at {address}"),
        None => format!("client {id}, which has disconnected"),
    }
}

/// One caller that was not parked, and `why`.
pub fn waiter_refused(db: u32, key: &[u8], why: &str) {
    let now_ms = clock::now_ms();
    if let Some(left_out) = memory::with(|memory| memory.refusal_lines.admit(now_ms)) {
        let (key, more) = (legible(key), more(left_out));
        write(WARNING, &format!("waiter refused: key '{key}' in db {db}, {why}; it was told WAIT{more}"));
    }
}

fn more(left_out: u64) -> String {
    match left_out {
        0 => String::new(),
        _ => format!(" ({left_out} more since the last such line)"),
    }
}
