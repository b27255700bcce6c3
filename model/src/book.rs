//! What can be told from outside of one key: who was granted what, who waits and for whose lease. Every step of the core
//! is compared with it; what does not agree breaks a [`Rule`].

use std::collections::{BTreeMap, BTreeSet};

use corral_lease::ask::Ask;
use corral_lease::entry::Lease;
use corral_lease::room::{Room, WaiterId};
use corral_lease::time::UnixMs;
use corral_lease::token::Token;

named! {
    /// What must hold in every state: the properties of the search.
    pub enum Rule {
        /// Rule 1, from the holders' side: nobody is granted a lease while another's is out; one token goes to one client.
        AtMostOneLiveLeasePerKey = "at_most_one_live_lease_per_key",
        /// Rule 2.
        TokensOnlyGrow = "tokens_only_grow",
        /// Rule 3: a value is in the key only if it was there, or came by SET, or by the holder of the current lease.
        NothingStoredUnderAnOldToken = "nothing_stored_under_an_old_token",
        /// Rule 3, the other way: whose lease is current, late or not, is heard.
        TheCurrentTokenIsHonoured = "the_current_token_is_honoured",
        /// Rule 4.
        EveryWaiterIsAnsweredOnce = "every_waiter_is_answered_once",
        /// Rule 4: whoever waits is looked at again, at its lease's deadline or its own limit, and not later.
        NobodyWaitsWithoutANextMoment = "nobody_waits_without_a_next_moment",
        /// Rule 4: if every client falls silent and only the scheduler goes on, everybody is answered.
        EverybodyIsAnsweredIfTimeRunsOn = "everybody_is_answered_if_time_runs_on",
        /// Rule 5.
        TheLongestWaitingIsPromoted = "the_longest_waiting_is_promoted",
        /// Rule 5: one, not none and not two.
        ALeaseWithoutAFillIsHandedOverToOne = "a_lease_without_a_fill_is_handed_over_to_one",
        /// Rule 5: of its own length, from now on, tied as asked.
        ALeaseHasItsFullLength = "a_lease_has_its_full_length",
        /// Rule 6: after an invalidation, or whatever else took the lease, its holder changes nothing.
        AnOvertakenRebuildIsNeverStored = "an_overtaken_rebuild_is_never_stored",
        /// Rules 6 and 7: a fill wakes all it is for, a void one those that joined it, an invalidation nobody.
        OneAnswerWakesThoseItIsFor = "one_answer_wakes_those_it_is_for",
        /// Rule 9: no renewal leads beyond the longest lease allowed, and no key ends before its lease.
        NoLeaseIsUnbounded = "no_lease_is_unbounded",
    }
}

/// Somebody who waits.
#[derive(Clone, Debug)]
pub struct Parked {
    pub client: usize,
    pub ask: Ask,
    pub gives_up: UnixMs,
    /// The rebuild whose end it waits for.
    pub joined: Token,
}

#[derive(Clone, Default, Debug)]
pub struct Book {
    /// The lease that was granted last, unless it ended or its key went.
    pub out: Option<Lease>,
    /// Whose it is: the number of that rebuild. Tokens could lie.
    pub current: Option<u32>,
    pub parked: BTreeMap<WaiterId, Parked>,
    /// The deadline of every rebuild that somebody waits for, void or not.
    pub deadlines: BTreeMap<Token, UnixMs>,
}

/// What is broken.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Broken(BTreeSet<Rule>);

impl Broken {
    pub fn note(&mut self, rule: Rule, is_broken: bool) {
        if is_broken {
            self.0.insert(rule);
        }
    }

    pub fn has(&self, rule: Rule) -> bool {
        self.0.contains(&rule)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Book {
    pub fn live(&self, now: UnixMs) -> Option<&Lease> {
        self.out.as_ref().filter(|lease| now < lease.deadline)
    }

    /// The lease is gone, with its key or without.
    pub fn forget_lease(&mut self) {
        (self.out, self.current) = (None, None);
    }

    pub fn everybody(&self) -> BTreeSet<WaiterId> {
        self.parked.keys().copied().collect()
    }

    pub fn joined(&self, token: Token) -> BTreeSet<WaiterId> {
        self.parked.iter().filter(|(_, parked)| parked.joined == token).map(|(id, _)| *id).collect()
    }

    /// Those whose BLOCK limit has passed.
    pub fn given_up(&self, now: UnixMs) -> BTreeSet<WaiterId> {
        self.parked.iter().filter(|(_, parked)| parked.gives_up <= now).map(|(id, _)| *id).collect()
    }

    /// Those who waited for a lease whose deadline has passed.
    pub fn due(&self, now: UnixMs) -> BTreeSet<WaiterId> {
        self.parked.iter().filter(|(_, parked)| self.deadline(parked) <= now).map(|(id, _)| *id).collect()
    }

    pub fn deadline(&self, parked: &Parked) -> UnixMs {
        self.deadlines.get(&parked.joined).copied().unwrap_or(UnixMs::NEVER)
    }

    /// Compares the room with the book.
    pub fn check(&mut self, room: &Room, now: UnixMs, broken: &mut Broken) {
        let joined: BTreeSet<Token> = self.parked.values().map(|parked| parked.joined).collect();
        self.deadlines.retain(|token, _| joined.contains(token));
        broken.note(Rule::EveryWaiterIsAnsweredOnce, room.len() != self.parked.len());
        let mut next: Option<UnixMs> = None;
        for (id, parked) in &self.parked {
            let deadline = self.deadline(parked);
            let left_ms = room.lease_left_ms(*id, now);
            broken.note(Rule::EveryWaiterIsAnsweredOnce, left_ms.is_none());
            broken.note(
                Rule::NobodyWaitsWithoutANextMoment,
                left_ms.is_some_and(|left_ms| left_ms != now.until(deadline)),
            );
            let moment = deadline.min(parked.gives_up);
            next = Some(next.map_or(moment, |next| next.min(moment)));
        }
        broken.note(Rule::NobodyWaitsWithoutANextMoment, room.next_moment() != next);
    }
}
