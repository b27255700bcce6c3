//! What others do to a key, or to its tags.

use corral_core::codec::{self, ValuePart};
use corral_core::freshness::{Freshness, SoftDeadline};
use corral_core::node::event::Event;
use corral_core::node::loading::{LoadedFrom, LoadedLease};
use corral_core::node::name::Name;
use corral_core::node::Reply;
use corral_core::request::Labels;

use crate::book::Built;
use crate::run;
use crate::search::Situation;
use crate::verdicts::bytes_of;
use crate::world::{Dumped, Holds, Slot, World};

impl World {
    pub(crate) fn set(&mut self, key: usize) {
        let Some(of) = self.run.values.first().copied() else { return };
        let value = self.new_value(Built { key, began: self.book.now, tags: of.tags, version: None });
        let freshness = Freshness {
            soft: SoftDeadline::In(1),
            swr_ms: Some(of.swr_ms),
            sie_ms: Some(of.sie_ms),
            jitter_percent: Some(0),
        };
        let tags = of.tags.iter().filter_map(|tag| run::TAGS.get(*tag).copied()).collect::<Vec<_>>();
        let labels = Labels { freshness, tags: Some(tags), version: None, only_if_absent: false };
        self.book.void(key, None);
        let called = self.call(key, |node, key| node.set(key, &bytes_of(value), &labels));
        if called.reply == Reply::Ok {
            if let Some(known) = self.book.keys.get_mut(key) {
                (known.value, known.unknown_until_ms) = (Some(value), 0);
            }
        }
    }

    pub(crate) fn invalidate(&mut self, key: usize) {
        let now_ms = self.wall_ms;
        if self.writes != 0 {
            // It is told so, and nothing changes.
            self.call(key, |node, key| node.invalidate(key));
            return;
        }
        let is_live = self.book.live(key, now_ms).is_some();
        if !is_live {
            if let Some(known) = self.book.keys.get_mut(key) {
                known.unknown_until_ms = 0;
            }
        }
        // Before the call: who is granted by it comes after.
        self.book.void(key, is_live.then_some(now_ms));
        self.call(key, |node, key| node.invalidate(key));
        let now = self.book.now;
        if let Some(known) = self.book.keys.get_mut(key) {
            known.invalidated = now;
        }
    }

    pub(crate) fn outdate(&mut self, key: usize) {
        let (now, now_ms) = (self.book.now, self.wall_ms);
        let Some(version) = self.book.keys.get_mut(key).map(|known| {
            known.source += 1;
            known.source
        }) else {
            return;
        };
        let called = self.call(key, |node, key| node.outdate(key, version, None));
        if let (Reply::Number(floor), Some(known)) = (called.reply, self.book.keys.get_mut(key)) {
            (known.floor, known.floor_at, known.floor_until_ms) = (floor, now, now_ms + run::FLOOR_MS);
        }
    }

    pub(crate) fn mark(&mut self, tag: usize) {
        let Some(name) = run::TAGS.get(tag) else { return };
        let moment = self.moment();
        let Some(record) = self.node.invalidate_tags(&[name], None, moment) else { return };
        if let Some(replica) = &mut self.replica {
            replica.sent_marks(&record);
        }
        let (now, now_ms) = (self.book.now, self.wall_ms);
        if let Some(at) = self.book.marked.get_mut(tag) {
            *at = now;
        }
        self.book.marks.push(now);
        for key in 0..self.keys.len() {
            // Whose kept value has the tag. With few marks kept, any tag may count as marked.
            let is_tagged = self
                .entry(key)
                .and_then(|entry| entry.tagged())
                .is_some_and(|tagged| tagged.tags.iter().any(|of| of.name() == *name) || self.run.max_tags < 2);
            if is_tagged {
                // Its lease is void when it is next looked at, as from now.
                let is_live = self.book.live(key, now_ms).is_some();
                self.book.void(key, is_live.then_some(now_ms));
            }
        }
        self.seen.note(Situation::AMarkComesDuringARebuild, !self.book.builds.is_empty());
    }

    /// Something else is in the key, or nothing: its lease went with it.
    pub(crate) fn overwrite(&mut self, key: usize, holds: Holds) {
        self.unlink(key, holds);
        self.key_gone(key);
    }

    pub(crate) fn key_gone(&mut self, key: usize) {
        let now = self.book.now;
        self.book.void(key, None);
        if let Some(known) = self.book.keys.get_mut(key) {
            (known.value, known.unknown_until_ms, known.floor_at) = (None, 0, 0);
            known.invalidated = now;
        }
    }

    /// DUMP: the entry as it is written out.
    pub(crate) fn dump(&mut self, key: usize) {
        let Some(entry) = self.entry(key) else { return };
        let seen = self.node.seen(0, entry);
        let (expires, known) = match (self.keys.get(key), self.book.keys.get(key)) {
            (Some(slot), Some(known)) => (slot.expires, known.clone()),
            _ => return,
        };
        self.dumped = Some(Dumped { key, slot: Slot { held: Holds::Entry(Box::new(seen)), expires }, known });
    }

    /// RESTORE REPLACE of what was dumped last: what was there is void, the payload's own live lease takes its place.
    pub(crate) fn restore(&mut self) {
        let Some(Dumped { key, slot, known }) = self.dumped.clone() else { return };
        let Holds::Entry(entry) = &slot.held else { return };
        self.overwrite(key, Holds::Nothing);
        let part = if entry.value().is_some() { ValuePart::Carried } else { ValuePart::Absent };
        let Ok(header) = codec::decode(&codec::encode(entry, part, None)) else { return };
        let youngest = header.youngest_token();
        let mut entry = header.into_entry(entry.value().cloned(), self.node.tags());
        let moment = self.moment();
        self.node.judge_arrival(&mut entry, moment.now());
        let lease = entry.lease().cloned();
        if let Some(of) = self.keys.get_mut(key) {
            *of = Slot { held: Holds::Entry(Box::new(entry)), expires: slot.expires };
        }
        self.seen.note(Situation::AKeyComesBack, true);
        if let Some(of) = self.book.keys.get_mut(key) {
            // An older value is an older value: what counts is what was marked here.
            (of.value, of.invalidated, of.unknown_until_ms) = (known.value, known.invalidated, known.unknown_until_ms);
        }
        if let Some(lease) = &lease {
            self.find_again(key, lease, self.wall_ms);
            if let Some(build) = self.book.build_mut(lease.token) {
                build.has_arrived = true;
            }
        }
        let (name, from) = (Name::new(&[b'a' + key as u8]), LoadedFrom::Payload { is_settled: false });
        self.node.event(Event::Loaded(LoadedLease { db: 0, name, lease, youngest, from }), moment);
    }

    pub(crate) fn flush(&mut self) {
        for key in 0..self.keys.len() {
            if let Some(slot) = self.keys.get_mut(key) {
                slot.held = Holds::Nothing;
            }
            self.key_gone(key);
        }
        let moment = self.moment();
        self.node.event(Event::Flushed { db: None }, moment);
        // The floor counts as a mark of every tag for rebuilds that began before.
        self.book.marks.push(self.book.now);
    }
}
