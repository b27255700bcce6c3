//! A circuit: whether a group's source is being tried.

use crate::decision::Refusal;
use crate::lease::Verdict;
use crate::policy::Policy;
use crate::time::{Clock, UnixMs};
use crate::token::Token;
use alloc::sync::Arc;

/// Whether a group's source is being tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Circuit {
    Closed,
    /// Nobody tries until then; `cool_ms`: how long it was opened for.
    Open {
        until: UnixMs,
        cool_ms: u64,
    },
    /// One tries: the holder of this lease, or the next who is granted one. `last`: the last trial's token, which may
    /// still speak.
    HalfOpen {
        trial: Option<Trial>,
        last: Option<Token>,
        cool_ms: u64,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trial {
    pub token: Token,
    pub deadline: UnixMs,
}

/// A group's circuit, and what led to it.
#[derive(Clone, Debug)]
pub struct Breaker {
    pub(super) state: Circuit,
    /// The trial that opened the circuit again by its deadline, and may still speak.
    pub(super) last_trial: Option<Token>,
    /// In a row, while the circuit is closed.
    pub(super) failures: u32,
    pub(super) last_message: Arc<[u8]>,
}

/// However often a trial fails, its circuit stays open for at most so many times its first length.
const COOL_LIMIT: u64 = 32;

impl Default for Breaker {
    fn default() -> Self {
        Self { state: Circuit::Closed, last_trial: None, failures: 0, last_message: Arc::from(&b""[..]) }
    }
}

impl Breaker {
    pub const fn state(&self) -> Circuit {
        self.state
    }

    /// The lease that is the trial.
    pub const fn trial(&self) -> Option<Token> {
        match self.state {
            Circuit::HalfOpen { trial: Some(trial), .. } => Some(trial.token),
            _ => None,
        }
    }

    /// The circuit lets one try, and nobody does yet.
    pub const fn awaits_trial(&self) -> bool {
        !matches!(self.state, Circuit::Closed | Circuit::HalfOpen { trial: Some(_), .. })
    }

    pub fn refusal(&self, clock: Clock) -> Option<Refusal> {
        let until = match self.state {
            Circuit::Open { until, .. } if clock.now < until => until,
            Circuit::HalfOpen { trial: Some(trial), .. } => trial.deadline.max(clock.now),
            _ => return None,
        };
        let message = [b"circuit open: ", &*self.last_message].concat();
        Some(Refusal { message: message.into(), until })
    }

    /// An open circuit whose time is over is half-open, and awaits its trial.
    pub fn half_open(&mut self, now: UnixMs) {
        if let Circuit::Open { until, cool_ms } = self.state {
            if until <= now {
                self.state = Circuit::HalfOpen { trial: None, last: self.last_trial, cool_ms };
            }
        }
    }

    /// A lease is granted: the trial, if there is to be one.
    pub fn grant(&mut self, token: Token, deadline: UnixMs, clock: Clock) {
        self.half_open(clock.now);
        if let Circuit::HalfOpen { trial: None, cool_ms, .. } = self.state {
            self.state = Circuit::HalfOpen { trial: Some(Trial { token, deadline }), last: Some(token), cool_ms };
        }
    }

    /// The deadline of the trial moved.
    pub fn renew(&mut self, token: Token, deadline: UnixMs) {
        if let Circuit::HalfOpen { trial: Some(trial), .. } = &mut self.state {
            if trial.token == token {
                trial.deadline = deadline;
            }
        }
    }

    /// A rebuild under `token` ended. `message`: of a failure.
    pub fn note(&mut self, policy: &Policy, token: Token, verdict: Verdict, message: &[u8], now: UnixMs) {
        match self.state {
            Circuit::Closed => match verdict {
                Verdict::Success => self.failures = 0,
                Verdict::Failure if policy.fails > 0 => {
                    self.failures += 1;
                    self.last_message = message.into();
                    if self.failures >= policy.fails {
                        self.open(policy.cool_ms, now);
                    }
                }
                Verdict::Failure | Verdict::None => {}
            },
            // Only trials count. The last one's word does, late or not, also when its deadline has opened it again.
            Circuit::HalfOpen { trial, last, cool_ms } if last == Some(token) => match verdict {
                Verdict::Success => self.close(),
                Verdict::Failure if trial.is_some() => {
                    self.last_message = message.into();
                    self.open_again(
                        cool_ms.saturating_mul(2).min(policy.cool_ms.saturating_mul(COOL_LIMIT)),
                        last,
                        now,
                    );
                }
                Verdict::Failure => {}
                Verdict::None => self.state = Circuit::HalfOpen { trial: None, last, cool_ms },
            },
            Circuit::Open { .. } if verdict == Verdict::Success && self.last_trial == Some(token) => self.close(),
            Circuit::Open { .. } | Circuit::HalfOpen { .. } => {}
        }
    }

    fn open(&mut self, cool_ms: u64, now: UnixMs) {
        self.state = Circuit::Open { until: now.plus(cool_ms), cool_ms };
    }

    fn open_again(&mut self, cool_ms: u64, last: Option<Token>, now: UnixMs) {
        self.last_trial = last;
        self.open(cool_ms, now);
    }

    pub fn close(&mut self) {
        self.state = Circuit::Closed;
        self.failures = 0;
        self.last_trial = None;
    }

    /// Whether the last trial's word is still to come.
    pub fn is_trial(&self, token: Token) -> bool {
        let last = match self.state {
            Circuit::HalfOpen { last, .. } => last,
            Circuit::Open { .. } => self.last_trial,
            Circuit::Closed => None,
        };
        last == Some(token)
    }

    /// The word for INFO.
    pub fn word(&self, now: UnixMs) -> &'static str {
        match self.state {
            Circuit::Closed => "closed",
            Circuit::Open { until, .. } if now < until => "open",
            Circuit::Open { .. } | Circuit::HalfOpen { .. } => "half-open",
        }
    }
}
