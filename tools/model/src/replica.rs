//! A replica that is sent what the master's steps say, as bytes, and applies it at once or when it catches up; and the
//! server started again from what it wrote out.

use std::sync::Arc;

use corral_core::codec::{self, Effect, MarksRecord, ValuePart};
use corral_core::entry::Entry;
use corral_core::lease::Lease;
use corral_core::node::event::Event;
use corral_core::node::loading::{LoadedFrom, LoadedLease};
use corral_core::node::name::Name;
use corral_core::node::Node;
use corral_core::time::{Moment, UnixMs};

use crate::book::{Build, Circuit, Rule, GROUPS};
use crate::search::Situation;
use crate::world::{Client, Does, Holds, Slot, World};

/// One effect: the key it is of, its header, its value.
type Sent = (usize, Vec<u8>, Option<Arc<[u8]>>);

#[derive(Debug)]
pub struct Replica {
    pub node: Node,
    pub keys: Vec<Slot>,
    /// What is on its way, if it lags.
    pending: Vec<Sent>,
    lags: bool,
    /// Its clock does not matter before it takes over.
    moment: Moment,
}

impl Replica {
    pub fn new(world: &World) -> Self {
        let mut node = Node::new(world.node.settings.clone());
        node.event(Event::RoleChanged { is_master: false }, world.moment());
        let groups = world.run.groups.first().copied().unwrap_or_default();
        let policies = corral_core::policy::parse(groups.as_bytes(), crate::run::LEASE_MAX_MS).unwrap_or_default();
        node.configure_groups(&policies);
        let lags = world.run.failover.is_some_and(|failover| failover.lags);
        Self { node, keys: world.keys.clone(), pending: Vec::new(), lags, moment: world.moment() }
    }

    pub fn is_behind(&self) -> bool {
        !self.pending.is_empty()
    }

    pub fn set_moment(&mut self, moment: Moment) {
        self.moment = moment;
    }

    pub fn sent_entry(&mut self, at: usize, entry: &Entry, value: ValuePart, expire_at: UnixMs) {
        let carried = entry.value().cloned().filter(|_| value == ValuePart::Carried);
        self.send(at, codec::encode(entry, value, Some(expire_at)), carried);
    }

    pub fn sent_removal(&mut self, at: usize) {
        self.send(at, codec::encode_removal(), None);
    }

    pub fn sent_marks(&mut self, record: &MarksRecord) {
        self.send(0, codec::encode_marks(record), None);
    }

    fn send(&mut self, at: usize, header: Vec<u8>, value: Option<Arc<[u8]>>) {
        self.pending.push((at, header, value));
        if !self.lags {
            self.catch_up();
        }
    }

    pub fn catch_up(&mut self) {
        for (at, header, value) in std::mem::take(&mut self.pending) {
            self.apply(at, &header, value);
        }
    }

    fn apply(&mut self, at: usize, header: &[u8], carried: Option<Arc<[u8]>>) {
        let name = [b'a' + at as u8];
        let Some(slot) = self.keys.get_mut(at) else { return };
        let before = match &slot.held {
            Holds::Entry(entry) => Some(entry.clone()),
            _ => None,
        };
        let old = before.as_ref().and_then(|entry| entry.lease()).map(|lease| lease.token);
        match codec::decode_effect(header) {
            Ok(Effect::Removal) => {
                *slot = Slot { held: Holds::Nothing, expires: UnixMs::NEVER };
                if before.is_some() {
                    self.node.applied(0, &name, old, None, None, self.moment);
                }
            }
            Ok(Effect::Marks(record)) => self.node.applied_marks(&record, self.moment),
            Ok(Effect::Entry(header)) => {
                let value = match header.value {
                    ValuePart::Absent => None,
                    ValuePart::Carried => carried,
                    ValuePart::Kept => before.as_ref().and_then(|entry| entry.value().cloned()),
                };
                let (youngest, expires) = (header.youngest_token(), header.expire_at.unwrap_or(UnixMs::NEVER));
                let entry = header.into_entry(value, self.node.tags());
                let lease = entry.lease().cloned();
                *slot = Slot { held: Holds::Entry(Box::new(entry)), expires };
                self.node.applied(0, &name, old, lease.as_ref(), youngest, self.moment);
            }
            // The node's own bytes: a replica that cannot read them has lost a value.
            Err(_) => *slot = Slot { held: Holds::Foreign, expires: UnixMs::NEVER },
        }
    }
}

impl Clone for Replica {
    fn clone(&self) -> Self {
        let mut node = self.node.clone();
        let mut keys = self.keys.clone();
        for slot in &mut keys {
            if let Holds::Entry(entry) = &mut slot.held {
                entry.use_tags_of(&mut node);
            }
        }
        Self { node, keys, pending: self.pending.clone(), ..*self }
    }
}

impl World {
    /// The master is gone, with all its connections: its replica takes over. Holders come back on new ones.
    pub(crate) fn fail_over(&mut self) {
        let Some(replica) = self.replica.take() else { return };
        self.has_failed_over = true;
        let (is_behind, lags) = (replica.is_behind(), replica.lags);
        (self.node, self.keys) = (replica.node, replica.keys);
        // It takes a while: two masters give out no tokens in the same microsecond.
        (self.wall_ms, self.steady_ms) = (self.wall_ms + 1, self.steady_ms + 1);
        self.wall_ms -= self.run.failover.map_or(0, |failover| failover.behind_ms);
        self.book_what_is_kept();
        for known in &mut self.book.keys {
            // INVALIDATE is kept as a moment of the old master's clock; and it may not have come here yet.
            known.invalidated = 0;
        }
        if is_behind {
            self.book.marked = [0; 2];
        }
        let held = |token| self.clients.iter().any(|of| matches!(of.does, Does::Builds(held) if held == token));
        let is_lost = self.book.builds.iter().any(|build| build.is_over && !build.is_tied && held(build.token));
        self.seen.note(Situation::AFailoverLosesAGrant, is_lost);
        if lags {
            // Tokens that nobody but their holders has seen are not this server's.
            self.book.largest = self.node.last_token();
        }
        let moment = self.moment();
        self.node.event(Event::RoleChanged { is_master: true }, moment);
        self.broken.note(Rule::EverybodyIsAnsweredIfTimeRunsOn, !self.node.is_master());
    }

    /// The server is started again, and loads what it wrote out, as bytes. Connections are gone, holders come back.
    pub(crate) fn restart(&mut self) {
        (self.wall_ms, self.steady_ms) = (self.wall_ms + 1, self.steady_ms + 1);
        let moment = self.moment();
        let mut node = Node::new(self.node.settings.clone());
        node.event(Event::LoadBegan { beside: false }, moment);
        for record in self.node.marks() {
            if let Ok(Effect::Marks(record)) = codec::decode_effect(&codec::encode_marks(&record)) {
                node.applied_marks(&record, moment);
            }
        }
        for (at, slot) in self.keys.iter_mut().enumerate() {
            let Holds::Entry(entry) = &slot.held else { continue };
            let seen = self.node.seen(0, entry);
            let part = if seen.value().is_some() { ValuePart::Carried } else { ValuePart::Absent };
            let Ok(header) = codec::decode(&codec::encode(&seen, part, None)) else { continue };
            let youngest = header.youngest_token();
            let entry = header.into_entry(seen.value().cloned(), node.tags());
            let (name, lease) = (Name::new(&[b'a' + at as u8]), entry.lease().cloned());
            slot.held = Holds::Entry(Box::new(entry));
            let from = LoadedFrom::DataSet;
            node.event(Event::Loaded(LoadedLease { db: 0, name, lease, youngest, from }), moment);
        }
        node.event(Event::LoadEnded { beside: false, succeeded: true }, moment);
        self.node = node;
        self.configure(self.groups);
        self.book_what_is_kept();
        // Leases from before a load are void for tagged fills.
        self.book.marks.push(self.book.now);
        self.seen.note(Situation::AServerIsStartedAgain, true);
    }

    /// Whose connections are gone waits no more; what is known of leases is what the entries say.
    fn book_what_is_kept(&mut self) {
        let now_ms = self.wall_ms;
        for number in 0..self.clients.len() {
            self.last_client += 1;
            let new = Client::new(self.last_client);
            let Some(client) = self.clients.get_mut(number) else { continue };
            let old = std::mem::replace(client, new);
            if matches!(old.does, Does::Builds(_)) {
                client.does = old.does;
            }
        }
        self.book.places.clear();
        self.book.listening.clear();
        self.book.kept.clear();
        for build in &mut self.book.builds {
            // Void, or unknown here: it holds no permit that this server knows of.
            (build.is_current, build.is_over) = (false, true);
        }
        for at in 0..self.keys.len() {
            let value = self.entry(at).and_then(|entry| entry.value().cloned());
            let lease = self.entry(at).and_then(Entry::lease).cloned();
            if let Some(known) = self.book.keys.get_mut(at) {
                known.value = value.and_then(|bytes| Some(u64::from_le_bytes((*bytes).try_into().ok()?)));
            }
            if let Some(lease) = lease {
                self.find_again(at, &lease, now_ms);
            }
        }
        for group in &mut self.book.groups {
            group.circuit = Circuit::Closed { failures: 0 };
        }
    }

    /// A lease that the new master knows counts, whether or not its holder has spoken to the old one.
    pub(crate) fn find_again(&mut self, key: usize, lease: &Lease, now_ms: u64) {
        let deadline_ms = lease.deadline.get().unwrap_or(u64::MAX);
        if self.book.build(lease.token).is_none() {
            let name = lease.group().map(|name| &**name);
            let group = GROUPS.iter().position(|group| group.map(str::as_bytes) == name).unwrap_or(0);
            self.book.builds.push(Build {
                token: lease.token,
                key,
                group,
                client: 0,
                began: 0,
                deadline_ms,
                length_ms: u64::from(lease.length_ms),
                is_tied: lease.is_tied,
                once_ms: lease.once_ms(),
                is_current: true,
                is_over: false,
                is_late: false,
                has_arrived: false,
                voided: 0,
                source: 0,
                known: 0,
            });
        }
        let Some(build) = self.book.build_mut(lease.token) else { return };
        // A tie has no connection any more.
        build.deadline_ms = if build.is_tied { deadline_ms.min(now_ms) } else { deadline_ms };
        (build.is_current, build.is_over, build.voided) = (true, false, 0);
        build.is_late = build.deadline_ms <= now_ms;
    }
}
