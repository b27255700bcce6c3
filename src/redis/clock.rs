//! Noticing that the server's clock was set back.
//!
//! Deadlines are moments, as everywhere in Redis, and come late by as much. But how long a parked client waits at most
//! was said as a length of time, and it must not hang for an hour because a clock was wrong by one. So the server's
//! clock is compared with one that is never set, some ten times a second.

use super::sys::{context, Context};
use super::{scheduler, state};

/// Smaller steps are not looked for: a limit that is late by so much is hardly noticed.
const NOTICED_US: u64 = 100_000;

/// The two clocks are read one after the other. If that took longer, somebody came between, and they cannot be compared.
const TOGETHER_US: u64 = 10_000;

/// With the server's housekeeping: has the limits of everybody parked move with the clock.
pub fn watch(context: &Context) {
    let before_us = context::monotonic_us();
    let now_us = context::now_us();
    let after_us = context::monotonic_us();
    if after_us.saturating_sub(before_us) > TOGETHER_US {
        return;
    }
    let lead_us = i128::from(now_us) - i128::from(after_us);
    let is_set_back = state::with(|state| {
        let last_us = state.clock_lead_us.replace(lead_us).unwrap_or(lead_us);
        let back_us = u64::try_from(last_us - lead_us).unwrap_or(0);
        if back_us > NOTICED_US {
            state.waiting.set_back(back_us / 1000);
        }
        back_us > NOTICED_US
    });
    if is_set_back {
        scheduler::arm(context);
    }
}
