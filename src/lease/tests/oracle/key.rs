//! What one key holds, and how a call on it is decided: the contract of the commands.

use corral_lease::ask::{Answer, Ask};
use corral_lease::freshness::{Freshness, SoftDeadline};
use corral_lease::token::Token;

#[derive(Clone, PartialEq)]
pub struct PlainKey {
    pub now: u64,
    /// What every draw of a random number gives.
    pub chance: f64,
    /// What lies here instead of an entry: then there is nothing else.
    pub other: Option<PlainOther>,
    pub value: Option<Value>,
    pub lease: Option<Lease>,
    pub failure: Option<Failure>,
    pub pass_until: u64,
    /// "Fill time minus grant time of the last fill."
    pub build_ms: u64,
}

#[derive(Clone, PartialEq)]
pub struct Value {
    pub bytes: Vec<u8>,
    /// `u64::MAX`: for ever.
    pub fresh_until: u64,
    swr_ms: u64,
    sie_ms: u64,
}

#[derive(Clone, Copy, PartialEq)]
pub struct Lease {
    pub token: u64,
    pub deadline: u64,
    pub granted_at: u64,
    pub length_ms: u64,
}

#[derive(Clone, PartialEq)]
pub struct Failure {
    pub message: Vec<u8>,
    pub until: u64,
}

#[derive(Clone, PartialEq)]
pub enum PlainOther {
    /// An ordinary string and its time to live.
    String(Value),
    Foreign,
}

pub enum Decision {
    WrongType,
    Answer(Answer),
    Grant,
    Behind(Lease),
}

impl PlainKey {
    pub fn missing(now: u64) -> Self {
        Self { now, chance: 1.0, other: None, value: None, lease: None, failure: None, pass_until: 0, build_ms: 0 }
    }

    /// "string -> HIT. Foreign type -> WRONGTYPE."
    pub fn row_1(&self) -> Option<Decision> {
        self.other.as_ref().map(|other| match other {
            PlainOther::String(text) => Decision::Answer(self.hit(text)),
            PlainOther::Foreign => Decision::WrongType,
        })
    }

    /// The contract's decision, all rows.
    pub fn decide(&self, ask: &Ask) -> Decision {
        if let Some(decision) = self.row_1() {
            return decision;
        }
        let live = self.lease.filter(|lease| self.now < lease.deadline);
        let backing_off = self.failure.as_ref().filter(|failure| self.now < failure.until);
        if self.now < self.pass_until {
            return Decision::Answer(Answer::Pass { left_ms: self.pass_until - self.now });
        }
        if let Some(value) = self.value.as_ref().filter(|value| self.now < value.fresh_until) {
            let may_be_granted = live.is_none() && backing_off.is_none();
            return match may_be_granted && (ask.force || self.is_early(ask, value)) {
                true => Decision::Grant,
                false => Decision::Answer(self.hit(value)),
            };
        }
        let within_swr = self.value.as_ref().filter(|value| !ask.no_stale && self.now < value.swr_end());
        if let Some(lease) = live {
            return match within_swr {
                Some(value) => Decision::Answer(value.stale(lease.deadline - self.now)),
                None => Decision::Behind(lease),
            };
        }
        match backing_off {
            Some(_) => Decision::Answer(self.failed(ask.no_stale)),
            None => Decision::Grant,
        }
    }

    /// "now - build_time * beta * ln(random) >= fresh_until"
    fn is_early(&self, ask: &Ask, value: &Value) -> bool {
        let gap = self.build_ms as f64 * ask.early_beta * self.chance.ln();
        value.fresh_until != u64::MAX && self.now as f64 - gap >= value.fresh_until as f64
    }

    pub fn get(&self) -> Answer {
        if self.now < self.pass_until {
            return Answer::Pass { left_ms: self.pass_until - self.now };
        }
        let lease_left_ms = self.lease.map_or(0, |lease| lease.deadline.saturating_sub(self.now));
        match &self.value {
            Some(value) if self.now < value.fresh_until => self.hit(value),
            Some(value) => value.stale(lease_left_ms),
            None if self.failure.as_ref().is_some_and(|failure| self.now < failure.until) => self.failed(true),
            None => Answer::Miss { lease_left_ms },
        }
    }

    /// STALE if the value is within SWR or SIE and NOSTALE was not said, else FAIL.
    pub fn failed(&self, no_stale: bool) -> Answer {
        let failure = self.failure.as_ref().unwrap();
        match &self.value {
            Some(value) if !no_stale && self.now < value.end() => value.stale(0),
            _ => Answer::Fail { message: failure.message.clone().into(), retry_in_ms: failure.until - self.now },
        }
    }

    pub fn hit(&self, value: &Value) -> Answer {
        let stale_in_ms = (value.fresh_until != u64::MAX).then(|| value.fresh_until.saturating_sub(self.now));
        Answer::Hit { value: value.bytes.clone().into(), stale_in_ms }
    }

    /// Jitter has tests of its own.
    pub fn value_of(&self, bytes: &[u8], freshness: &Freshness) -> Value {
        let fresh_until = match freshness.soft {
            SoftDeadline::Never => u64::MAX,
            SoftDeadline::In(ms) => self.now + ms,
            SoftDeadline::At(moment) => moment.get().unwrap_or(u64::MAX),
        };
        Value { bytes: bytes.to_vec(), fresh_until, swr_ms: freshness.swr_ms, sie_ms: freshness.sie_ms }
    }

    pub fn store(&mut self, value: Value) {
        (self.failure, self.pass_until) = (None, 0);
        self.value = Some(value);
        self.drop_useless_value();
    }

    pub fn holds(&self, token: Token) -> bool {
        self.lease.is_some_and(|lease| lease.token == token.get())
    }

    pub fn drop_useless_value(&mut self) {
        self.value = self.value.take().filter(|value| self.now < value.end());
    }

    /// Nothing here is of use any more.
    pub fn is_gone(&self) -> bool {
        self.end() <= self.now
    }

    /// The key's own deadline in Redis. A key is there through the last millisecond.
    pub fn expire(&mut self) {
        if self.end() < self.now {
            self.clear();
        }
    }

    /// "The later of the two windows, never before a lease's end", and a placeholder's one lease length after it.
    fn end(&self) -> u64 {
        match &self.other {
            Some(PlainOther::Foreign) => u64::MAX,
            Some(PlainOther::String(text)) => text.fresh_until,
            None => {
                let value = self.value.as_ref().map_or(0, Value::end);
                let lease = self.lease.map_or(0, |lease| lease.deadline + lease.length_ms);
                let failure = self.failure.as_ref().map_or(0, |failure| failure.until);
                value.max(lease).max(failure).max(self.pass_until)
            }
        }
    }

    pub fn clear(&mut self) {
        (self.other, self.value, self.lease, self.failure) = (None, None, None, None);
        (self.build_ms, self.pass_until) = (0, 0);
    }
}

impl Value {
    pub fn swr_end(&self) -> u64 {
        self.fresh_until.saturating_add(self.swr_ms)
    }

    fn end(&self) -> u64 {
        self.fresh_until.saturating_add(self.swr_ms.max(self.sie_ms))
    }

    fn stale(&self, lease_left_ms: u64) -> Answer {
        Answer::Stale { value: self.bytes.clone().into(), lease_left_ms }
    }
}
