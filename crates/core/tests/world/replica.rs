//! A replica that is sent what the master's steps say, as bytes, and must hold the same after each.

use std::collections::BTreeMap;
use std::sync::Arc;

use corral_core::codec::{self, Effect, MarksRecord, ValuePart};
use corral_core::entry::Entry;
use corral_core::node::event::Event;
use corral_core::node::Node;
use corral_core::time::{Moment, UnixMs};

use super::{Place, Stored, Value, World};

pub struct Replica {
    pub node: Node,
    pub keys: BTreeMap<Place, Stored>,
}

impl Replica {
    fn apply(&mut self, place: &Place, header: &[u8], carried: Option<Arc<[u8]>>, moment: Moment) {
        let before = match self.keys.get(place).map(|stored| &stored.value) {
            Some(Value::Entry(entry)) => Some(entry.clone()),
            _ => None,
        };
        let old = before.as_ref().and_then(|entry| entry.lease()).map(|lease| lease.token);
        match codec::decode_effect(header).unwrap() {
            Effect::Removal => {
                self.keys.remove(place);
                self.node.applied(place.0, &place.1, old, None, None, moment);
            }
            Effect::Marks(record) => self.node.applied_marks(&record, moment),
            Effect::Entry(header) => {
                let value = match header.value {
                    ValuePart::Absent => None,
                    ValuePart::Carried => Some(carried.expect("the value travels beside its header")),
                    ValuePart::Kept => before.as_ref().and_then(|entry| entry.value().cloned()),
                };
                let (youngest, expires) = (header.youngest_token(), header.expire_at.unwrap_or(UnixMs::NEVER));
                let entry = header.into_entry(value, self.node.tags());
                let lease = entry.lease().cloned();
                self.keys.insert(place.clone(), Stored { value: Value::Entry(entry), expires });
                self.node.applied(place.0, &place.1, old, lease.as_ref(), youngest, moment);
            }
        }
    }
}

impl World {
    /// From here on there is a replica.
    pub fn attach_replica(&mut self) {
        let mut node = Node::new(self.node.settings.clone());
        node.event(Event::RoleChanged { is_master: false }, self.moment());
        self.replica = Some(Replica { node, keys: self.keys.clone() });
    }

    pub fn assert_replica_is_equal(&self) {
        if let Some(replica) = &self.replica {
            assert_eq!(replica.keys, self.keys);
        }
    }

    /// The master is gone, with all its connections: its replica takes over.
    pub fn fail_over(&mut self) {
        let replica = self.replica.take().unwrap();
        self.node = replica.node;
        self.keys = replica.keys;
        self.parked.clear();
        self.in_flight.clear();
        self.server.clients.clear();
        self.become_master();
    }

    pub(super) fn replicate(&mut self, place: &Place, entry: &Entry, value: ValuePart, expire_at: UnixMs) {
        let moment = self.moment();
        let header = codec::encode(entry, value, Some(expire_at));
        let carried = entry.value().cloned().filter(|_| value == ValuePart::Carried);
        if let Some(replica) = &mut self.replica {
            replica.apply(place, &header, carried, moment);
        }
    }

    pub(super) fn replicate_removal(&mut self, place: &Place) {
        let moment = self.moment();
        if let Some(replica) = &mut self.replica {
            replica.apply(place, &codec::encode_removal(), None, moment);
        }
    }

    pub(super) fn replicate_marks(&mut self, record: &MarksRecord) {
        let moment = self.moment();
        if let Some(replica) = &mut self.replica {
            replica.apply(&(0, Vec::new()), &codec::encode_marks(record), None, moment);
        }
    }

    /// What the node says of the floor of all tags.
    pub(super) fn replicate_floor(&mut self) {
        for record in self.node.take_floor() {
            self.replicate_marks(&record);
        }
    }

    /// The server's own commands reach the replica by themselves.
    pub(super) fn replicate_server_removal(&mut self, place: &Place) {
        let moment = self.moment();
        if let Some(replica) = &mut self.replica {
            if let Some(Stored { value: Value::Entry(entry), .. }) = replica.keys.remove(place) {
                let token = entry.lease().map(|lease| lease.token);
                let event = Event::Unlinked { db: place.0, name: super::name_of(place), token };
                replica.node.event(event, moment);
            }
        }
    }

    pub(super) fn replicate_server_value(&mut self, place: &Place, stored: &Stored) {
        if let Some(replica) = &mut self.replica {
            replica.keys.insert(place.clone(), stored.clone());
        }
    }

    pub(super) fn replicate_flush(&mut self) {
        let moment = self.moment();
        if let Some(replica) = &mut self.replica {
            replica.keys.clear();
            replica.node.event(Event::Flushed { db: None }, moment);
        }
    }

    pub(super) fn replicate_swap(&mut self, databases: (u32, u32), exchange: &dyn Fn(Place) -> Place) {
        let moment = self.moment();
        if let Some(replica) = &mut self.replica {
            let keys = std::mem::take(&mut replica.keys);
            replica.keys = keys.into_iter().map(|(at, stored)| (exchange(at), stored)).collect();
            replica.node.event(Event::Swapped { first: databases.0, second: databases.1 }, moment);
        }
    }
}
