//! What the contract says should happen to one key: no groups, no shared values, no shortcuts. Everybody who waits
//! stands in one list and is asked about one by one; times are plain numbers.
//!
//! Written from the contract of the commands and the rules that always hold, not from the core.

mod key;

use corral_lease::ask::{Answer, Ask};
use corral_lease::freshness::{Freshness, SoftDeadline};
use corral_lease::key::Other;
use corral_lease::rebuild::Memory;
use corral_lease::room::WaiterId;
use corral_lease::token::Token;

use self::key::{Decision, Failure, Lease, PlainKey, PlainOther, Value};
use crate::stage::{Input, Reply, LEASE_MAX_MS};

/// What one input is to lead to.
#[derive(PartialEq, Debug)]
pub struct Expected {
    pub reply: Reply,
    /// Who is answered, in the order of arrival.
    pub wakes: Vec<(WaiterId, Answer)>,
    /// Who is told that the key holds another type by now.
    pub refusals: Vec<WaiterId>,
}

/// One step's wakes and refusals, as they come.
#[derive(Default)]
struct Told {
    wakes: Vec<(WaiterId, Answer)>,
    refusals: Vec<WaiterId>,
}

pub struct Oracle {
    pub key: PlainKey,
    /// In the order they came.
    pub waiting: Vec<Waiting>,
    last_token: u64,
    last_waiter: u64,
}

/// A waiter: "each remembers the token it joined".
#[derive(Clone)]
pub struct Waiting {
    pub id: WaiterId,
    pub token: u64,
    /// The deadline of that token's lease, as it was last known.
    pub deadline: u64,
    /// `u64::MAX`: no limit of its own.
    pub gives_up: u64,
    ask: Ask,
}

impl Oracle {
    pub fn new(now: u64) -> Self {
        Self { key: PlainKey::missing(now), waiting: Vec::new(), last_token: 0, last_waiter: 0 }
    }

    /// When the room next has something to do.
    pub fn next_moment(&self) -> Option<u64> {
        self.waiting.iter().map(|waiting| waiting.deadline.min(waiting.gives_up)).min()
    }

    pub fn put(&mut self, input: &Input) -> Expected {
        self.key.expire();
        let before = self.key.clone();
        let mut told = Told::default();
        let reply = self.reply(input, &mut told);
        if self.key.other.is_none() && self.key.is_gone() && self.key != before {
            // What is stored is of use; a key that is not is deleted.
            self.key.clear();
        }
        let Told { mut wakes, refusals } = told;
        wakes.sort_by_key(|(id, _)| *id);
        Expected { reply, wakes, refusals }
    }

    fn reply(&mut self, input: &Input, told: &mut Told) -> Reply {
        match input {
            Input::Ask { ask, block_ms } => self.ask(ask, *block_ms, told),
            Input::Get => match self.key.row_1() {
                Some(Decision::Answer(answer)) => Reply::Answer(answer),
                Some(_) => Reply::WrongType,
                None => Reply::Answer(self.key.get()),
            },
            Input::Advance => {
                self.advance(told);
                Reply::Nobody
            }
            Input::Fill { token, value, freshness, memory } => {
                let value = self.key.value_of(value, freshness);
                if !self.key.holds(*token) {
                    // "Its value still told, with HIT, the waiters that joined this token's rebuild."
                    let hit = self.key.hit(&value);
                    self.wake(told, |waiting| waiting.token == token.get(), |_| hit.clone());
                    return Reply::Nil;
                }
                self.wake_all_with_hit(&value, told);
                let granted_at = self.key.lease.take().unwrap().granted_at;
                match memory {
                    Memory::Full => Reply::OutOfMemory,
                    Memory::Free => {
                        self.key.build_ms = self.key.now - granted_at;
                        self.key.store(value);
                        Reply::Ok
                    }
                }
            }
            Input::Set { value, freshness } => {
                let value = self.key.value_of(value, freshness);
                self.wake_all_with_hit(&value, told);
                (self.key.other, self.key.lease) = (None, None);
                self.key.store(value);
                Reply::Ok
            }
            Input::Renew { token, ms } if self.key.holds(*token) => {
                let lease = self.key.lease.as_mut().unwrap();
                let latest = lease.granted_at + LEASE_MAX_MS;
                lease.deadline = (self.key.now + ms).min(latest.max(lease.deadline));
                let lease = *lease;
                for waiting in self.waiting.iter_mut().filter(|waiting| waiting.token == lease.token) {
                    waiting.deadline = lease.deadline;
                }
                Reply::Number(lease.deadline.saturating_sub(self.key.now))
            }
            Input::Renew { .. } => Reply::Nil,
            Input::Release { token } => {
                let held = self.end(*token, told);
                Reply::Number(u64::from(held))
            }
            Input::HolderGone { token } => {
                self.end(*token, told);
                Reply::Nobody
            }
            Input::Fail { token, message, backoff_ms } => {
                if !self.key.holds(*token) {
                    self.end(*token, told);
                    return Reply::Nil;
                }
                self.key.lease = None;
                self.key.failure = Some(Failure { message: message.to_vec(), until: self.key.now + backoff_ms });
                let (to_nostale, to_others) = (self.key.failed(true), self.key.failed(false));
                self.wake(told, |_| true, |ask| if ask.no_stale { to_nostale.clone() } else { to_others.clone() });
                Reply::Answer(to_others)
            }
            Input::Pass { token, pass_ms } => {
                if !self.key.holds(*token) {
                    self.end(*token, told);
                    return Reply::Nil;
                }
                (self.key.lease, self.key.value, self.key.failure) = (None, None, None);
                self.key.pass_until = self.key.now + pass_ms;
                self.wake(told, |_| true, |_| Answer::Pass { left_ms: *pass_ms });
                Reply::Ok
            }
            Input::Touch { token, freshness } => {
                if !self.key.holds(*token) {
                    self.end(*token, told);
                    return Reply::Nil;
                }
                let Some(value) = &self.key.value else { return Reply::Nil };
                let value = self.key.value_of(&value.bytes, freshness);
                self.wake_all_with_hit(&value, told);
                self.key.lease = None;
                self.key.store(value);
                Reply::Ok
            }
            Input::Invalidate => {
                let held = self.key.other.is_none() && !self.key.is_gone();
                self.key.lease = None;
                if !held {
                    return Reply::Number(0);
                }
                self.key.pass_until = 0;
                if let Some(value) = &mut self.key.value {
                    value.fresh_until = value.fresh_until.min(self.key.now);
                }
                self.key.drop_useless_value();
                Reply::Number(1)
            }
            Input::Delete => {
                self.key.clear();
                Reply::Nobody
            }
            Input::Overwrite { value, freshness } => {
                self.key.clear();
                let value = self.key.value_of(value, freshness);
                self.key.store(value);
                Reply::Nobody
            }
            Input::Retype(other) => {
                self.key.clear();
                self.key.other = Some(match other {
                    Other::Foreign => PlainOther::Foreign,
                    Other::String { value, fresh_until } => {
                        let soft = SoftDeadline::At(*fresh_until);
                        PlainOther::String(self.key.value_of(value, &Freshness { soft, ..NO_WINDOWS }))
                    }
                });
                Reply::Nobody
            }
            Input::Leave(id) => {
                self.waiting.retain(|waiting| waiting.id != *id);
                Reply::Nobody
            }
        }
    }

    fn ask(&mut self, ask: &Ask, block_ms: Option<u64>, told: &mut Told) -> Reply {
        if let Decision::Grant = self.key.decide(ask) {
            // Whoever waits for a lease that has ended goes first.
            self.advance(told);
        }
        let lease = match self.key.decide(ask) {
            Decision::WrongType => return Reply::WrongType,
            Decision::Answer(answer) => return Reply::Answer(answer),
            Decision::Grant => return Reply::Answer(self.grant(ask)),
            Decision::Behind(lease) => lease,
        };
        let Some(block_ms) = block_ms else {
            return Reply::Answer(Answer::Wait { lease_left_ms: lease.deadline - self.key.now });
        };
        self.last_waiter += 1;
        let id = WaiterId(self.last_waiter);
        let gives_up = if block_ms == 0 { u64::MAX } else { self.key.now + block_ms };
        self.waiting.push(Waiting { id, ask: *ask, token: lease.token, deadline: lease.deadline, gives_up });
        Reply::Parked { id, behind: Token::new(lease.token).unwrap() }
    }

    fn grant(&mut self, ask: &Ask) -> Answer {
        // "max(last token seen + 1, microseconds since the epoch)"
        self.last_token = (self.last_token + 1).max(self.key.now * 1000);
        let token = Token::new(self.last_token).unwrap();
        let deadline = self.key.now + ask.lease_ms;
        self.key.lease =
            Some(Lease { token: self.last_token, granted_at: self.key.now, deadline, length_ms: ask.lease_ms });
        let served = self
            .key
            .value
            .as_ref()
            .filter(|value| self.key.now < value.fresh_until || !ask.no_stale && self.key.now < value.swr_end());
        match served {
            Some(value) => Answer::Refresh { value: value.bytes.clone().into(), token },
            None => Answer::Lock { token },
        }
    }

    fn advance(&mut self, told: &mut Told) {
        let now = self.key.now;
        let (gone, still): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(|waiting| waiting.gives_up <= now);
        self.waiting = still;
        for waiting in gone {
            let lease_left_ms = waiting.deadline.saturating_sub(now);
            told.wakes.push((waiting.id, Answer::Wait { lease_left_ms }));
        }
        self.ask_again(|waiting| waiting.deadline <= now, told);
    }

    fn end(&mut self, token: Token, told: &mut Told) -> bool {
        let held = self.key.holds(token);
        if held {
            self.key.lease = None;
        }
        let now = self.key.now;
        self.ask_again(|waiting| waiting.token == token.get() || waiting.deadline <= now, told);
        held
    }

    /// "Each is then decided like a new call", in the order of arrival.
    fn ask_again(&mut self, who: impl Fn(&Waiting) -> bool, told: &mut Told) {
        for index in 0..self.waiting.len() {
            let waiting = self.waiting[index].clone();
            if !who(&waiting) {
                continue;
            }
            match self.key.decide(&waiting.ask) {
                Decision::WrongType => told.refusals.push(waiting.id),
                Decision::Answer(answer) => told.wakes.push((waiting.id, answer)),
                Decision::Grant => told.wakes.push((waiting.id, self.grant(&waiting.ask))),
                Decision::Behind(lease) => {
                    self.waiting[index].token = lease.token;
                    self.waiting[index].deadline = lease.deadline;
                }
            }
        }
        self.waiting.retain(|waiting| {
            told.wakes.iter().all(|(id, _)| *id != waiting.id) && !told.refusals.contains(&waiting.id)
        });
    }

    fn wake(&mut self, told: &mut Told, who: impl Fn(&Waiting) -> bool, answer: impl Fn(&Ask) -> Answer) {
        told.wakes.extend(self.waiting.iter().filter(|waiting| who(waiting)).map(|one| (one.id, answer(&one.ask))));
        self.waiting.retain(|waiting| !who(waiting));
    }

    fn wake_all_with_hit(&mut self, value: &Value, told: &mut Told) {
        let hit = self.key.hit(value);
        self.wake(told, |_| true, |_| hit.clone());
    }
}

const NO_WINDOWS: Freshness = Freshness { soft: SoftDeadline::Never, swr_ms: 0, sie_ms: 0, jitter_percent: 0 };
