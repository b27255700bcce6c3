//! What a caller wants, and every answer it can get.

use std::ffi::CStr;
use std::sync::Arc;

use crate::time::UnixMs;
use crate::token::Token;

/// The options of one CACHE.GETORLOCK that its decision depends on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ask {
    /// Length of the lease if granted.
    pub lease_ms: u64,
    /// XFetch's beta; 0 turns early refresh off.
    pub early_beta: f64,
    /// Never STALE, never an old value with REFRESH.
    pub no_stale: bool,
    /// Ask for the lease although the value is fresh.
    pub force: bool,
    /// The lease ends with the connection.
    pub tied: bool,
}

/// One reply of `[state, value, number]`. The variants are the states; their docs say what the number is.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// ms until stale, `None` for never.
    Hit { value: Arc<[u8]>, stale_in_ms: Option<u64> },
    /// ms left on the other's lease, 0 if none is out.
    Stale { value: Arc<[u8]>, lease_left_ms: u64 },
    /// The caller holds the lease, and has a value to serve meanwhile.
    Refresh { value: Arc<[u8]>, token: Token },
    /// The caller holds the lease.
    Lock { token: Token },
    /// ms left on the other's lease.
    Wait { lease_left_ms: u64 },
    /// ms left of the mark.
    Pass { left_ms: u64 },
    /// ms until the next attempt is allowed.
    Fail { message: Arc<[u8]>, retry_in_ms: u64 },
    /// ms left on a lease out, 0 if none. Only CACHE.GET says this.
    Miss { lease_left_ms: u64 },
}

/// A state word as it stands in replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Hit,
    Stale,
    Refresh,
    Lock,
    Wait,
    Pass,
    Fail,
    Miss,
}

impl State {
    /// In the order of the variants.
    pub const ALL: [State; 8] =
        [State::Hit, State::Stale, State::Refresh, State::Lock, State::Wait, State::Pass, State::Fail, State::Miss];

    pub const fn word(self) -> &'static CStr {
        match self {
            State::Hit => c"HIT",
            State::Stale => c"STALE",
            State::Refresh => c"REFRESH",
            State::Lock => c"LOCK",
            State::Wait => c"WAIT",
            State::Pass => c"PASS",
            State::Fail => c"FAIL",
            State::Miss => c"MISS",
        }
    }
}

impl Answer {
    pub const fn state(&self) -> State {
        match self {
            Answer::Hit { .. } => State::Hit,
            Answer::Stale { .. } => State::Stale,
            Answer::Refresh { .. } => State::Refresh,
            Answer::Lock { .. } => State::Lock,
            Answer::Wait { .. } => State::Wait,
            Answer::Pass { .. } => State::Pass,
            Answer::Fail { .. } => State::Fail,
            Answer::Miss { .. } => State::Miss,
        }
    }

    /// The second element of the reply.
    pub fn payload(&self) -> Option<&[u8]> {
        match self {
            Answer::Hit { value, .. } | Answer::Stale { value, .. } | Answer::Refresh { value, .. } => Some(value),
            Answer::Fail { message, .. } => Some(message),
            Answer::Lock { .. } | Answer::Wait { .. } | Answer::Pass { .. } | Answer::Miss { .. } => None,
        }
    }

    /// The third element of the reply.
    pub fn number(&self) -> i64 {
        let ms = match *self {
            Answer::Hit { stale_in_ms, .. } => return or_never(stale_in_ms),
            Answer::Stale { lease_left_ms, .. } | Answer::Wait { lease_left_ms } | Answer::Miss { lease_left_ms } => {
                lease_left_ms
            }
            Answer::Refresh { token, .. } | Answer::Lock { token } => token.get(),
            Answer::Pass { left_ms } => left_ms,
            Answer::Fail { retry_in_ms, .. } => retry_in_ms,
        };
        i64::try_from(ms).unwrap_or(i64::MAX)
    }

    /// The token this answer grants, if it grants one.
    pub const fn granted(&self) -> Option<Token> {
        match self {
            Answer::Refresh { token, .. } | Answer::Lock { token } => Some(*token),
            _ => None,
        }
    }

    /// A fresh value's answer at `now`.
    pub fn hit(value: Arc<[u8]>, fresh_until: UnixMs, now: UnixMs) -> Self {
        let stale_in_ms = (!fresh_until.is_never()).then(|| now.until(fresh_until));
        Answer::Hit { value, stale_in_ms }
    }
}

/// A number of milliseconds as it stands in replies: -1 for never.
pub fn or_never(ms: Option<u64>) -> i64 {
    ms.map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_states_are_read_by_their_variants() {
        for (place, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, place);
        }
    }
}
