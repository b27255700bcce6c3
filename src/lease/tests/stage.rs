//! One key on a stage: the part of the server's shell that the core's contract relies on, with the clock and the chance
//! in the test's hand.
//!
//! As in the shell, a decision that grants nothing is answered without a step, a key lives no longer than it is of use,
//! and a parked client joins the lease that it was told to wait behind.

use std::sync::Arc;

use corral_lease::ask::{Answer, Ask};
use corral_lease::decision::Decision;
use corral_lease::entry::Entry;
use corral_lease::freshness::Freshness;
use corral_lease::key::{Asked, Change, Effect, Key, LeaseEnd, Other, Sources, Step};
use corral_lease::rebuild::{Filled, Memory};
use corral_lease::room::{Room, Waiter, WaiterId};
use corral_lease::time::UnixMs;
use corral_lease::token::{Mint, Token};

/// `corral.lease-max-ms`, as it stands in the settings.
pub const LEASE_MAX_MS: u64 = 300_000;

/// Everything that can happen to a key.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// CACHE.GETORLOCK. `block_ms`: `None` does not block, 0 has no limit of its own.
    Ask {
        ask: Ask,
        block_ms: Option<u64>,
    },
    Fill {
        token: Token,
        value: Arc<[u8]>,
        freshness: Freshness,
        memory: Memory,
    },
    Set {
        value: Arc<[u8]>,
        freshness: Freshness,
    },
    Get,
    Renew {
        token: Token,
        ms: u64,
    },
    Release {
        token: Token,
    },
    /// The connection of a TIED lease closed.
    HolderGone {
        token: Token,
    },
    Fail {
        token: Token,
        message: Arc<[u8]>,
        backoff_ms: u64,
    },
    Pass {
        token: Token,
        pass_ms: u64,
    },
    Touch {
        token: Token,
        freshness: Freshness,
    },
    Invalidate,
    /// DEL, and every other way a key can go: the module is not asked, and its waiting rooms stay as they are.
    Delete,
    /// RENAME, RESTORE and the like bring another value here: again the module is not asked.
    Overwrite {
        value: Arc<[u8]>,
        freshness: Freshness,
    },
    /// SET, LPUSH and the like leave something here that is no entry.
    Retype(Other),
    /// A parked client disconnects.
    Leave(WaiterId),
    /// The scheduler runs *advance*.
    Advance,
}

/// What the caller is told.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    Answer(Answer),
    Parked {
        id: WaiterId,
        behind: Token,
    },
    Ok,
    Nil,
    OutOfMemory,
    WrongType,
    Number(u64),
    /// There is no caller.
    Nobody,
}

/// What one input led to.
#[derive(PartialEq, Debug)]
pub struct Turn {
    pub reply: Reply,
    pub change: Change,
    pub effects: Vec<Effect>,
}

pub struct Stage {
    pub entry: Entry,
    pub room: Room,
    /// What the key holds instead of the entry, which is then vacant.
    pub other: Option<Other>,
    pub now: UnixMs,
    /// What every draw of a random number gives.
    pub chance: f64,
    mint: Mint,
    last_waiter: u64,
}

impl Stage {
    pub fn new(now: UnixMs) -> Self {
        let (entry, room, mint) = (Entry::vacant(), Room::default(), Mint::default());
        Self { entry, room, other: None, now, chance: 1.0, mint, last_waiter: 0 }
    }

    /// A token arrives with a loaded or replicated entry.
    pub fn see(&mut self, token: Token) {
        self.mint.see(token);
    }

    /// One input at the present moment.
    pub fn put(&mut self, input: Input) -> Turn {
        self.expire();
        let turn = self.step_of(input);
        assert!(self.other.is_none() || self.entry.is_vacant(self.now), "a key of another type is left alone");
        if turn.change > Change::Nothing && self.entry.is_vacant(self.now) {
            self.entry = Entry::vacant();
        }
        turn
    }

    /// What the key's own deadline in Redis does. A key is there through the last millisecond, of use or not.
    pub fn expire(&mut self) {
        let until = match &self.other {
            Some(Other::String { fresh_until, .. }) => *fresh_until,
            Some(Other::Foreign) => UnixMs::NEVER,
            None => self.entry.kept_until(),
        };
        if until < self.now {
            (self.entry, self.other) = (Entry::vacant(), None);
        }
    }

    /// The clock runs to `moment`, and the scheduler rings at each of the room's moments on the way.
    pub fn run_until(&mut self, moment: UnixMs) -> Vec<(UnixMs, Turn)> {
        let mut turns = Vec::new();
        while let Some(next) = self.room.next_moment().filter(|next| *next <= moment) {
            self.now = self.now.max(next);
            turns.push((self.now, self.put(Input::Advance)));
            assert!(!self.room.is_due(self.now), "after *advance* nothing is due: {:?}", self.room);
        }
        self.now = self.now.max(moment);
        self.expire();
        turns
    }

    fn step_of(&mut self, input: Input) -> Turn {
        let (now, chance) = (self.now, self.chance);
        let times = |freshness: Freshness| freshness.resolve(now, || chance);
        match input {
            Input::Ask { ask, block_ms } => self.ask(&ask, block_ms),
            Input::Fill { token, value, freshness, memory } => {
                let step = self.step(|key, _| key.fill(token, value, times(freshness), memory));
                Turn::new(step, |filled| match filled {
                    Filled::Stored => Reply::Ok,
                    Filled::Void => Reply::Nil,
                    Filled::OutOfMemory => Reply::OutOfMemory,
                })
            }
            Input::Set { value, freshness } => {
                self.other = None;
                Turn::new(self.step(|key, _| key.set(value, times(freshness))), |()| Reply::Ok)
            }
            Input::Get => {
                let peeked = || Reply::Answer(self.entry.peek(now));
                Turn::still(self.reply_of_other().unwrap_or_else(peeked))
            }
            Input::Renew { token, ms } => {
                let step = self.step(|key, _| key.renew(token, ms, LEASE_MAX_MS));
                Turn::new(step, |left_ms| left_ms.map_or(Reply::Nil, Reply::Number))
            }
            Input::Release { token } => {
                let step = self.step(|key, from| key.end(token, LeaseEnd::Released, from));
                Turn::new(step, |held| Reply::Number(u64::from(held)))
            }
            Input::HolderGone { token } => {
                Turn::new(self.step(|key, from| key.end(token, LeaseEnd::HolderGone, from)), |_| Reply::Nobody)
            }
            Input::Fail { token, message, backoff_ms } => {
                let step = self.step(|key, from| key.fail(token, message, backoff_ms, from));
                Turn::new(step, |answer| answer.map_or(Reply::Nil, Reply::Answer))
            }
            Input::Pass { token, pass_ms } => {
                Turn::new(self.step(|key, from| key.pass(token, pass_ms, from)), Reply::of_held)
            }
            Input::Touch { token, freshness } => {
                Turn::new(self.step(|key, from| key.touch(token, times(freshness), from)), Reply::of_held)
            }
            Input::Invalidate => Turn::new(self.step(|key, _| key.invalidate()), |was| Reply::Number(u64::from(was))),
            Input::Delete => {
                (self.entry, self.other) = (Entry::vacant(), None);
                Turn::still(Reply::Nobody)
            }
            Input::Overwrite { value, freshness } => {
                let entry = Entry::of_value(value, times(freshness));
                (self.entry, self.other) = (if entry.is_vacant(now) { Entry::vacant() } else { entry }, None);
                Turn::still(Reply::Nobody)
            }
            Input::Retype(other) => {
                (self.entry, self.other) = (Entry::vacant(), Some(other));
                Turn::still(Reply::Nobody)
            }
            Input::Leave(id) => {
                self.room.leave(id);
                Turn::still(Reply::Nobody)
            }
            Input::Advance => Turn::new(self.step(|key, from| key.advance(from)), |()| Reply::Nobody),
        }
    }

    fn ask(&mut self, ask: &Ask, block_ms: Option<u64>) -> Turn {
        let (now, chance) = (self.now, self.chance);
        if let Some(reply) = self.reply_of_other() {
            return Turn::still(reply);
        }
        let decision = self.entry.decide(ask, now, || chance);
        let still = |reply| Step { reply, change: Change::Nothing, effects: Vec::new() };
        let Step { reply, change, effects } = match decision {
            Decision::Lock | Decision::Refresh(_) => self.step(|key, from| key.ask(ask, decision, from)),
            Decision::Behind { .. } => still(self.entry.behind(now)),
            other => still(Asked::Answer(self.entry.answer(other, now))),
        };
        let reply = match (reply, block_ms) {
            (Asked::Answer(answer), _) => Reply::Answer(answer),
            (Asked::Behind { deadline, .. }, None) => {
                Reply::Answer(Answer::Wait { lease_left_ms: now.until(deadline) })
            }
            (Asked::Behind { token, deadline }, Some(block_ms)) => {
                self.last_waiter += 1;
                let id = WaiterId(self.last_waiter);
                let gives_up = if block_ms == 0 { UnixMs::NEVER } else { now.plus(block_ms) };
                self.room.join(token, deadline, id, Waiter { ask: *ask, gives_up });
                Reply::Parked { id, behind: token }
            }
        };
        Turn { reply, change, effects }
    }

    /// Row 1 of the decision, which is the shell's: an ordinary string answers HIT with its own time to live.
    fn reply_of_other(&self) -> Option<Reply> {
        self.other.as_ref().map(|other| match other {
            Other::String { value, fresh_until } => Reply::Answer(Answer::hit(value.clone(), *fresh_until, self.now)),
            Other::Foreign => Reply::WrongType,
        })
    }

    fn step<R>(&mut self, step: impl FnOnce(&mut Key, &mut Sources) -> Step<R>) -> Step<R> {
        let Self { entry, room, other, now, chance, mint, .. } = self;
        let now_us = now.get().unwrap() * 1000;
        let mut from = Sources { mint, now_us, random: &mut || *chance, db: 0 };
        step(&mut Key { entry, room, now: *now, other: other.clone() }, &mut from)
    }
}

impl Turn {
    fn new<R>(step: Step<R>, reply: impl FnOnce(R) -> Reply) -> Self {
        Self { reply: reply(step.reply), change: step.change, effects: step.effects }
    }

    /// Nothing happened but the reply.
    fn still(reply: Reply) -> Self {
        Self { reply, change: Change::Nothing, effects: Vec::new() }
    }

    /// Who was refused, in order.
    pub fn refusals(&self) -> Vec<WaiterId> {
        let refusals = self.effects.iter().filter_map(|effect| match effect {
            Effect::Refuse { waiters } => Some(waiters),
            _ => None,
        });
        refusals.flatten().copied().collect()
    }

    /// Who was woken with what, in order.
    pub fn wakes(&self) -> Vec<(WaiterId, Answer)> {
        let wakes = self.effects.iter().filter_map(|effect| match effect {
            Effect::Wake { waiters, answer } => Some((waiters, answer)),
            _ => None,
        });
        wakes.flat_map(|(waiters, answer)| waiters.iter().map(|id| (*id, answer.clone()))).collect()
    }
}

impl Reply {
    fn of_held(held: bool) -> Self {
        match held {
            true => Reply::Ok,
            false => Reply::Nil,
        }
    }
}
