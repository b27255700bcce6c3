//! Every answer a caller can get.

use alloc::sync::Arc;

use crate::time::UnixMs;
use crate::token::Token;

/// One reply of `[state, value, number]`. The variants are the states; their docs say what the number is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// ms until stale, `None` for never.
    Hit { value: Payload, stale_in_ms: Option<u64> },
    /// ms left on the other's lease, 0 if none is out.
    Stale { value: Payload, lease_left_ms: u64 },
    /// The caller holds the lease, and has a value to serve meanwhile.
    Refresh { value: Payload, token: Token },
    /// The caller holds the lease.
    Lock { token: Token },
    /// ms left on the other's lease, or on the group's next one to end; 0 where neither tells one.
    Wait { left_ms: u64 },
    /// ms left of the mark.
    Pass { left_ms: u64 },
    /// ms until the next attempt is allowed, `None` for never.
    Fail { message: Arc<[u8]>, retry_in_ms: Option<u64> },
    /// ms left on a lease out, 0 if none. Only CACHE.GET says this.
    Miss { lease_left_ms: u64 },
}

/// The value of an answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Payload {
    Bytes(Arc<[u8]>),
    /// The ordinary string that the key holds: whoever writes the reply has it from the server.
    String,
}

/// A state word as it stands in replies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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

    pub const fn word(self) -> &'static str {
        match self {
            State::Hit => "HIT",
            State::Stale => "STALE",
            State::Refresh => "REFRESH",
            State::Lock => "LOCK",
            State::Wait => "WAIT",
            State::Pass => "PASS",
            State::Fail => "FAIL",
            State::Miss => "MISS",
        }
    }
}

/// A state as the documents tell it.
#[derive(Debug)]
pub struct Described {
    pub state: State,
    pub value: &'static str,
    pub number: &'static str,
    /// What the caller does.
    pub deed: &'static str,
}

pub static STATES: [Described; 8] = [
    Described { state: State::Hit, value: "the fresh value", number: "ms until stale, -1 for never", deed: "use it" },
    Described {
        state: State::Stale,
        value: "the old value",
        number: "ms left on the other's lease, 0 for none",
        deed: "use it: someone rebuilds, the source fails, or its group is full",
    },
    Described {
        state: State::Refresh,
        value: "the old value; with FORCE or EARLY the fresh one",
        number: "token",
        deed: "use it, rebuild in the background, FILL",
    },
    Described { state: State::Lock, value: "nil", number: "token", deed: "rebuild, FILL" },
    Described {
        state: State::Wait,
        value: "nil",
        number: "ms left on the other's lease, or on a full group's next to end; 0 for none",
        deed: "not parked, or BLOCK ran out: ask again, or build without storing",
    },
    Described {
        state: State::Pass,
        value: "nil",
        number: "ms left of the mark",
        deed: "build for yourself, do not store",
    },
    Described {
        state: State::Fail,
        value: "the holder's message",
        number: "ms until the next attempt, -1 for never",
        deed: "report it, do not rebuild",
    },
    Described {
        state: State::Miss,
        value: "nil",
        number: "ms left on a lease out, 0 if none",
        deed: "from `CACHE.GET` only: nothing to show",
    },
];

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

    /// The second element of the reply, where it is ours to give.
    pub fn payload(&self) -> Option<&[u8]> {
        match self {
            Answer::Hit { value, .. } | Answer::Stale { value, .. } | Answer::Refresh { value, .. } => value.bytes(),
            Answer::Fail { message, .. } => Some(message),
            Answer::Lock { .. } | Answer::Wait { .. } | Answer::Pass { .. } | Answer::Miss { .. } => None,
        }
    }

    /// Whether the second element is the key's ordinary string.
    pub const fn has_string(&self) -> bool {
        matches!(self, Answer::Hit { value: Payload::String, .. })
    }

    /// The third element of the reply.
    pub fn number(&self) -> i64 {
        let ms = match *self {
            Answer::Hit { stale_in_ms: ms, .. } | Answer::Fail { retry_in_ms: ms, .. } => return or_never(ms),
            Answer::Stale { lease_left_ms: ms, .. } | Answer::Wait { left_ms: ms } => ms,
            Answer::Pass { left_ms: ms } | Answer::Miss { lease_left_ms: ms } => ms,
            Answer::Refresh { token, .. } | Answer::Lock { token } => token.get(),
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
        Answer::Hit { value: Payload::Bytes(value), stale_in_ms: until(now, fresh_until) }
    }

    /// The answer of an ordinary string, which is fresh for as long as its key is there.
    pub fn hit_of_string(expires: UnixMs, now: UnixMs) -> Self {
        Answer::Hit { value: Payload::String, stale_in_ms: until(now, expires) }
    }
}

impl Payload {
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Payload::Bytes(bytes) => Some(bytes),
            Payload::String => None,
        }
    }
}

/// ms from `now` until `later`, `None` for never.
pub fn until(now: UnixMs, later: UnixMs) -> Option<u64> {
    (!later.is_never()).then(|| now.until(later))
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
            assert_eq!(STATES[place].state, state);
        }
    }
}
