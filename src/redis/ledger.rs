//! The leases known on this node: who holds them, and when each ends.
//!
//! The lease itself lives in its key; this is a list of where to look, so that an operator can find stuck rebuilds
//! and a passed deadline is noticed although nobody asks for the key. Keys can go
//! without a word (SWAPDB, some flushes), so whoever shows a line checks it against the key.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use corral_lease::codec::Header;
use corral_lease::entry::{Entry, Lease};
use corral_lease::time::UnixMs;
use corral_lease::token::Token;

use super::settings::LEASE_LIMIT_MS;
use super::state::{self, Place};
use super::sys::{context, Context};

/// One lease and its holder.
#[derive(Clone, Debug)]
pub struct Line {
    pub place: Arc<Place>,
    pub lease: Lease,
    /// The holder's client on this node; `None` if the lease was replicated or loaded, or granted to a script.
    pub client_id: Option<u64>,
}

/// The leases whose deadlines have not passed.
#[derive(Default, Debug)]
pub struct Ledger {
    lines: HashMap<u32, HashMap<Box<[u8]>, Line>>,
    by_deadline: BTreeSet<(UnixMs, Arc<Place>)>,
    count: usize,
}

impl Line {
    /// The holder as far as this node knows it, for people.
    pub fn holder(&self) -> String {
        match self.client_id {
            None => "a script, or a client of another node".to_owned(),
            Some(id) => match context::client_address(id) {
                Some(address) => format!("client {id} at {address}"),
                None => format!("client {id}, which has disconnected"),
            },
        }
    }
}

impl Ledger {
    pub const fn len(&self) -> usize {
        self.count
    }

    pub fn line(&self, db: u32, key: &[u8]) -> Option<&Line> {
        self.lines.get(&db)?.get(key)
    }

    /// Every line.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.values().flat_map(HashMap::values)
    }

    /// A lease was granted (or arrived), in place of any other on that key.
    pub fn enter(&mut self, db: u32, key: &[u8], lease: Lease, client_id: Option<u64>) -> Arc<Place> {
        self.strike(db, key);
        let place = Place::new(db, key);
        self.by_deadline.insert((lease.deadline, place.clone()));
        self.lines.entry(db).or_default().insert(key.into(), Line { place: place.clone(), lease, client_id });
        self.count += 1;
        place
    }

    /// A lease's deadline was moved. Says whether the lease has a line.
    pub fn renew(&mut self, db: u32, key: &[u8], lease: Lease) -> bool {
        let line = self.lines.get_mut(&db).and_then(|lines| lines.get_mut(key));
        let Some(line) = line.filter(|line| line.lease.token == lease.token) else { return false };
        self.by_deadline.remove(&(line.lease.deadline, line.place.clone()));
        line.lease = lease;
        self.by_deadline.insert((lease.deadline, line.place.clone()));
        true
    }

    /// The lease of `token` ended: its line, if it still had one.
    pub fn end(&mut self, db: u32, key: &[u8], token: Token) -> Option<Line> {
        self.line(db, key).filter(|line| line.lease.token == token)?;
        self.strike(db, key)
    }

    /// The key holds no lease.
    pub fn forget(&mut self, db: u32, key: &[u8]) {
        self.strike(db, key);
    }

    /// When the next deadline passes.
    pub fn next_deadline(&self) -> Option<UnixMs> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out one lease whose deadline has passed.
    pub fn take_expired(&mut self, now: UnixMs) -> Option<Line> {
        let (_, place) = self.by_deadline.first().filter(|(deadline, _)| *deadline <= now)?;
        let place = place.clone();
        self.strike(place.db, &place.key)
    }

    /// A database was emptied; `None` for all.
    pub fn flush(&mut self, db: Option<u32>) {
        let lines: Vec<Line> = self.lines().filter(|line| db.is_none_or(|db| line.place.db == db)).cloned().collect();
        for line in lines {
            self.end(line.place.db, &line.place.key, line.lease.token);
        }
    }

    fn strike(&mut self, db: u32, key: &[u8]) -> Option<Line> {
        let lines = self.lines.get_mut(&db)?;
        let line = lines.remove(key)?;
        if lines.is_empty() {
            self.lines.remove(&db);
        }
        self.by_deadline.remove(&(line.lease.deadline, line.place.clone()));
        self.count -= 1;
        Some(line)
    }
}

/// An entry is being loaded: from an RDB file, a full synchronisation or RESTORE. Its tokens count as seen.
pub fn loaded(
    context: &Context,
    db: u32,
    key: Option<&[u8]>,
    header: Header,
    value: Option<Arc<[u8]>>,
) -> Result<Entry, String> {
    let now_us = context::now_us();
    let is_trusted = context.flags().is_loading();
    if let Some(token) = header.token() {
        // Anyone may RESTORE a payload of their own making: a token from the far future would use up all those before
        // it. What the server loads itself is trusted, whatever its clock says today.
        if !is_trusted && token.get() > now_us.saturating_add(FAR_FUTURE_US) {
            return Err("a token more than a year ahead of the clock".to_owned());
        }
    }
    let mut entry = header.into_entry(value);
    entry.settle(db);
    let latest = UnixMs::from_micros(now_us).plus(LEASE_LIMIT_MS);
    let is_unbounded = |lease: &Lease| lease.deadline > latest || lease.length_ms > LEASE_LIMIT_MS;
    if !is_trusted && entry.lease().is_some_and(is_unbounded) {
        // No call can make an unbounded lease, RESTORE included.
        return Err(format!("a lease longer than {LEASE_LIMIT_MS} ms"));
    }
    if let Some(lease) = entry.lease().copied() {
        state::with(|state| {
            state.mint.see(lease.token);
            if let Some(key) = key.filter(|_| UnixMs::from_micros(now_us) < lease.deadline) {
                state.ledger.enter(db, key, lease, None);
            }
        });
    }
    Ok(entry)
}

/// A key with a lease is leaving the keyspace, or its name.
pub fn unlinked(db: u32, key: &[u8], token: Token) {
    state::with(|state| state.ledger.end(db, key, token));
}

/// A year, in microseconds.
const FAR_FUTURE_US: u64 = 366 * 24 * 3_600 * 1_000_000;
