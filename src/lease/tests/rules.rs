//! The rules that always hold, checked one by one from the outside after every step: what was granted, who is parked
//! and what was stored is noted here, and the core's own books are compared with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use corral_lease::ask::Ask;
use corral_lease::codec::{self, ValuePart};
use corral_lease::entry::{Entry, Lease};
use corral_lease::key::{Change, Effect, Grantee};
use corral_lease::room::WaiterId;
use corral_lease::time::UnixMs;
use corral_lease::token::Token;

use crate::stage::{Input, Reply, Stage, Turn};

#[derive(Default)]
pub struct Rules {
    /// Every token that was granted.
    granted: BTreeSet<Token>,
    /// The lease that was granted last, unless it ended or its key went.
    out: Option<Lease>,
    parked: BTreeMap<WaiterId, Parked>,
}

struct Parked {
    ask: Ask,
    gives_up: UnixMs,
}

/// What there was before a step.
pub struct Before {
    entry: Entry,
    /// For each that waited, ms left on the lease it waited for.
    left_ms: BTreeMap<WaiterId, u64>,
}

impl Rules {
    /// Who is parked, in the order they came.
    pub fn parked(&self) -> impl Iterator<Item = WaiterId> + '_ {
        self.parked.keys().copied()
    }

    pub fn before(&self, stage: &mut Stage) -> Before {
        stage.expire();
        let left = |id: &WaiterId| (*id, stage.room.lease_left_ms(*id, stage.now).unwrap());
        Before { entry: stage.entry.clone(), left_ms: self.parked.keys().map(left).collect() }
    }

    pub fn check(&mut self, before: &Before, input: &Input, turn: &Turn, stage: &Stage) {
        if before.entry.lease().is_none() {
            self.out = None;
        }
        self.only_the_current_token_stores(before, input, turn, stage);
        self.leases_follow_one_another(turn, stage);
        self.the_longest_waiting_goes_first(before, turn, stage);
        self.each_waiter_is_answered_once(input, turn, stage);
        self.the_room_agrees(stage);
        the_change_says_what_changed(before, input, turn, stage);
        the_entry_survives_its_encoding(stage);
    }

    /// Rules 3 and 6.
    fn only_the_current_token_stores(&self, before: &Before, input: &Input, turn: &Turn, stage: &Stage) {
        let stored = match input {
            Input::Set { value, .. } | Input::Overwrite { value, .. } => Some(value),
            Input::Fill { token, value, .. } if turn.reply == Reply::Ok => {
                assert_eq!(self.out.map(|lease| lease.token), Some(*token), "only the lease that is out fills");
                Some(value)
            }
            _ => None,
        };
        if let Some(now_there) = stage.entry.value() {
            let allowed = stored.or(before.entry.value());
            assert!(allowed.is_some_and(|allowed| Arc::ptr_eq(allowed, now_there)), "a value nobody may store");
        }
    }

    /// Rules 1, 2 and the first half of 5: one lease at a time, each with a larger token and its full length.
    fn leases_follow_one_another(&mut self, turn: &Turn, stage: &Stage) {
        let mut grants = 0;
        for effect in &turn.effects {
            match effect {
                Effect::Ended { lease, .. } => {
                    assert_eq!(self.out.take(), Some(*lease), "what is not out does not end");
                }
                Effect::Renewed { lease } => {
                    assert_eq!(self.out.replace(*lease).map(|lease| lease.token), Some(lease.token));
                }
                Effect::Granted { lease, to } => {
                    assert_eq!(self.out, None, "granted while another lease is out");
                    assert!(self.granted.iter().all(|earlier| *earlier < lease.token), "a token that did not grow");
                    assert!(lease.token.get() >= stage.now.get().unwrap() * 1000);
                    self.granted.insert(lease.token);
                    if let Grantee::Waiter(id) = to {
                        let ask = &self.parked[id].ask;
                        assert_eq!((lease.length_ms, lease.tied), (ask.lease_ms, ask.tied));
                    }
                    assert_eq!(lease.granted_at, stage.now);
                    assert_eq!(lease.deadline, stage.now.plus(lease.length_ms));
                    self.out = Some(*lease);
                    grants += 1;
                }
                Effect::Wake { .. } | Effect::Refuse { .. } => {}
            }
        }
        assert!(grants <= 1, "one step grants at most one lease");
        match stage.entry.lease() {
            Some(lease) => {
                assert_eq!(self.out.as_ref(), Some(lease));
                assert!(stage.entry.kept_until() >= lease.deadline, "a key ends before its lease");
            }
            // Also by DEL and by the key's own deadline, of which there is no word.
            None => self.out = None,
        }
    }

    /// Rule 5: nobody who has waited longer than the promoted one still waits for a lease that has ended.
    fn the_longest_waiting_goes_first(&self, before: &Before, turn: &Turn, stage: &Stage) {
        let promoted = turn.effects.iter().find_map(|effect| match effect {
            Effect::Granted { to: Grantee::Waiter(id), .. } => Some(*id),
            _ => None,
        });
        let Some(promoted) = promoted else { return };
        for (id, left_ms) in before.left_ms.range(..promoted) {
            let still = stage.room.lease_left_ms(*id, stage.now);
            assert!(still.is_none_or(|still| still > 0 && still == *left_ms), "{promoted:?} was promoted past {id:?}");
        }
    }

    /// Rule 4.
    fn each_waiter_is_answered_once(&mut self, input: &Input, turn: &Turn, stage: &Stage) {
        for effect in &turn.effects {
            let (Effect::Wake { waiters, .. } | Effect::Refuse { waiters }) = effect else { continue };
            for id in waiters {
                assert!(self.parked.remove(id).is_some(), "{id:?} is not parked and was given {effect:?}");
            }
            let is_grant = matches!(effect, Effect::Wake { answer, .. } if answer.granted().is_some());
            assert!(!is_grant || waiters.len() == 1, "one token for two");
        }
        match (input, &turn.reply) {
            (Input::Ask { ask, block_ms }, Reply::Parked { id, .. }) => {
                let gives_up = match block_ms {
                    Some(0) => UnixMs::NEVER,
                    limit => stage.now.plus(limit.expect("without BLOCK a call never blocks")),
                };
                let newest = self.parked.last_key_value().is_none_or(|(last, _)| last < id);
                assert!(newest && self.parked.insert(*id, Parked { ask: *ask, gives_up }).is_none());
            }
            (Input::Leave(id), _) => {
                self.parked.remove(id);
            }
            _ => {}
        }
    }

    fn the_room_agrees(&self, stage: &Stage) {
        let Stage { room, now, .. } = stage;
        assert_eq!(room.len(), self.parked.len());
        assert_eq!(room.is_empty(), self.parked.is_empty());
        assert_eq!(room.next_moment().is_some(), !self.parked.is_empty(), "waiters and no moment, or the reverse");
        let Some(moment) = room.next_moment() else { return };
        for (id, parked) in &self.parked {
            let left_ms = room.lease_left_ms(*id, *now).expect("who is parked is in the room");
            let due = if left_ms == 0 { *now } else { now.plus(left_ms) };
            assert!(moment <= due.min(parked.gives_up), "{id:?} is due before the room's next moment");
        }
    }
}

/// What the shell goes by when it stores, replicates and sets the key's deadline.
fn the_change_says_what_changed(before: &Before, input: &Input, turn: &Turn, stage: &Stage) {
    let (was, is) = (&before.entry, &stage.entry);
    let unasked = matches!(input, Input::Delete | Input::Overwrite { .. } | Input::Retype(_));
    if unasked || turn.change == Change::Value || (turn.change > Change::Nothing && is.is_vacant(stage.now)) {
        return;
    }
    assert_eq!(was.value(), is.value(), "the value changed");
    if turn.change < Change::Times {
        assert_eq!((was.times(), was.failure(), was.build_ms()), (is.times(), is.failure(), is.build_ms()));
        assert_eq!(was.passing(stage.now), is.passing(stage.now));
    }
    if turn.change == Change::Nothing {
        assert_eq!(was, is);
    }
}

fn the_entry_survives_its_encoding(stage: &Stage) {
    let part = if stage.entry.value().is_some() { ValuePart::Carried } else { ValuePart::Absent };
    let bytes = codec::encode(&stage.entry, part, None);
    let back = codec::decode(&bytes).unwrap().into_entry(stage.entry.value().cloned());
    assert_eq!(back, stage.entry);
}
