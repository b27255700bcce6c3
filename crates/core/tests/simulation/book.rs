//! What a schedule has seen so far, as outsiders see it: who was granted what, when a value's rebuild began, what was
//! invalidated. The laws are said of this, and of nothing that the node says of itself.

use std::collections::{BTreeMap, BTreeSet};

use corral_core::token::Token;

use crate::world::{Client, Place};

#[derive(Default)]
pub struct Book {
    is_shown: bool,
    /// Acts so far: the order of everything.
    pub now: u64,
    pub grants: BTreeMap<Token, Granted>,
    /// The last grant of each key.
    pub last: BTreeMap<Place, Token>,
    /// When each waiter asked.
    pub asked: BTreeMap<Client, u64>,
    pub values: BTreeMap<String, Built>,
    pub invalidated: BTreeMap<Place, u64>,
    pub marked: BTreeMap<&'static str, u64>,
    pub floors: BTreeMap<Place, FloorSeen>,
    pub once: BTreeMap<Place, OnceSeen>,
    /// By group.
    pub trials: BTreeMap<&'static str, Token>,
    pub answers: u64,
}

/// A lease as its holder knows it.
#[derive(Clone, Debug)]
pub struct Granted {
    pub client: Client,
    pub place: Place,
    pub group: &'static str,
    pub is_tied: bool,
    pub at: u64,
    pub deadline_ms: u64,
    /// Its holder has spoken, is known to be gone, or something voided it.
    pub may_be_over: bool,
    /// It counts for its group's limit: its holder builds on, and is known to.
    pub is_building: bool,
}

/// A value's origin.
#[derive(Clone, Debug)]
pub struct Built {
    /// The key it was built for; `None` once keys have moved.
    pub place: Option<Place>,
    pub began: u64,
    pub tags: Vec<&'static str>,
    pub version: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct FloorSeen {
    pub at: u64,
    pub version: u64,
    pub until_ms: u64,
}

#[derive(Clone, Debug)]
pub struct OnceSeen {
    pub token: Token,
    pub ms: u64,
    /// The earliest moment at which it can have ended without a verdict.
    pub end_ms: u64,
}

impl Book {
    pub fn new(is_shown: bool) -> Self {
        Self { is_shown, ..Self::default() }
    }

    pub fn show(&self, line: impl FnOnce() -> String) {
        if self.is_shown {
            println!("{:4} {}", self.now, line());
        }
    }

    /// A grant, however it came. `max`: its group's limit, 0 for none.
    pub fn grant(&mut self, token: Token, granted: Granted, once_ms: Option<u64>, max: u32, now_ms: u64) {
        self.show(|| format!("  granted {token:?} {granted:?}"));
        let largest = self.grants.keys().next_back();
        assert!(largest.is_none_or(|largest| *largest < token), "tokens grow: {token:?} after {largest:?}");
        if let Some(last) = self.last.get(&granted.place).and_then(|last| self.grants.get(last)) {
            assert!(
                last.may_be_over || last.deadline_ms <= now_ms,
                "two live leases of {:?}: {last:?} and {granted:?}",
                granted.place
            );
        }
        if let Some(once) = self.once.remove(&granted.place) {
            let is_known = once.ms > 0 && now_ms >= once.end_ms + once.ms;
            assert!(is_known, "granted again while its outcome is unknown: {once:?} at {now_ms}, {granted:?}");
        }
        if let Some(ms) = once_ms {
            self.once.insert(granted.place.clone(), OnceSeen { token, ms, end_ms: granted.deadline_ms });
        }
        self.last.insert(granted.place.clone(), token);
        let group = granted.group;
        self.grants.insert(token, granted);
        let building = self.grants.values().filter(|of| of.group == group && of.is_building);
        let building = building.filter(|of| of.deadline_ms > now_ms).count();
        assert!(max == 0 || building <= max as usize, "{building} build in {group}, whose limit is {max}");
    }

    /// A holder has spoken. `lands`: its token was the current one.
    pub fn spoken(&mut self, token: Token, lands: bool) {
        let Some(granted) = self.grants.get_mut(&token) else { return };
        granted.is_building = false;
        granted.may_be_over = true;
        if lands {
            let place = granted.place.clone();
            assert_eq!(self.last.get(&place), Some(&token), "{place:?}: a token that is not the current one lands");
            if self.once.get(&place).is_some_and(|once| once.token == token) {
                self.once.remove(&place);
            }
        }
    }

    /// Its connection closed, or the grant never came.
    pub fn holder_gone(&mut self, client: Client, now_ms: u64) {
        for granted in self.grants.values_mut().filter(|of| of.client == client && of.is_tied) {
            (granted.is_building, granted.may_be_over) = (false, true);
            if let Some(once) = self.once.get_mut(&granted.place) {
                once.end_ms = once.end_ms.min(now_ms);
            }
        }
    }

    /// No connection of before is one here.
    pub fn ties_end(&mut self, now_ms: u64) {
        let holders: BTreeSet<Client> = self.grants.values().map(|of| of.client).collect();
        holders.into_iter().for_each(|client| self.holder_gone(client, now_ms));
    }

    /// The key's value, lease and marks are gone, or another's: nothing from before says anything of it.
    pub fn key_gone(&mut self, place: &Place) {
        self.void(place);
        self.once.remove(place);
        self.floors.remove(place);
    }

    /// Whatever lease the key has, or had, may be void.
    pub fn void(&mut self, place: &Place) {
        if let Some(granted) = self.last.get(place).and_then(|token| self.grants.get_mut(token)) {
            granted.may_be_over = true;
        }
    }

    pub fn places(&self) -> BTreeSet<Place> {
        self.last.keys().cloned().collect()
    }

    /// An answer HIT with a value, to who asked at `asked`.
    pub fn fresh(&mut self, place: &Place, value: &str, asked: u64, now_ms: u64) {
        self.answers += 1;
        let Some(built) = self.values.get(value) else { return };
        assert!(built.place.as_ref().is_none_or(|of| of == place), "{place:?} is answered with {value} of {built:?}");
        if let Some(invalidated) = self.invalidated.get(place) {
            assert!(
                asked <= *invalidated || built.began >= *invalidated,
                "{place:?} invalidated at {invalidated}, asked at {asked}, fresh: {value} {built:?}"
            );
        }
        for tag in &built.tags {
            let marked = self.marked.get(tag).copied().unwrap_or(0);
            assert!(
                asked <= marked || built.began >= marked,
                "{tag} marked at {marked}, asked at {asked}: {value} {built:?}"
            );
        }
        if let Some(floor) = self.floors.get(place).filter(|floor| now_ms < floor.until_ms) {
            let is_new_enough = built.version.is_some_and(|version| version >= floor.version);
            assert!(asked <= floor.at || is_new_enough, "{place:?} {floor:?}, asked at {asked}: {value} {built:?}");
        }
    }
}
