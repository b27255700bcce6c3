//! What befalls the server: pauses, refusals, clocks, roles, reloads.

use corral_core::node::event::Event;
use corral_core::node::loading::{LoadedFrom, LoadedLease};
use corral_core::node::Writes;

use super::Run;
use crate::world::{name_of, Value};

impl Run {
    pub(super) fn pause(&mut self) {
        match self.w.is_paused {
            false if self.chance.one_in(2) => self.w.pause(),
            false => {}
            true => self.w.unpause(),
        }
        let is_paused = self.w.is_paused;
        self.book.show(|| format!("paused: {is_paused}"));
    }

    pub(super) fn refuse(&mut self) {
        self.w.server.writes = match self.chance.between(0, 3) {
            0 => Writes::OutOfMemory((*b"OOM full").into()),
            1 => Writes::Refused((*b"MISCONF disk").into()),
            _ => Writes::Allowed,
        };
        let writes = &self.w.server.writes;
        self.book.show(|| format!("writes: {writes:?}"));
    }

    pub(super) fn forbid(&mut self) {
        let client = self.client();
        if !self.w.server.forbidden.remove(&client) {
            self.w.server.forbidden.insert(client);
        }
    }

    pub(super) fn set_clock(&mut self) {
        let ms = self.chance.pick(&[30, 700, 5000]);
        if self.chance.one_in(2) {
            self.book.show(|| format!("the clock is set {ms} ms ahead"));
            self.w.wall_us += ms * 1000;
            self.w.settle_undelivered();
            return;
        }
        self.book.show(|| format!("the clock is set {ms} ms back"));
        self.w.wall_us -= ms * 1000;
        // Moments from before are to come by now: what was stale can be fresh again. But a mark is a token.
        self.book.floors.clear();
        self.book.once.clear();
        self.book.invalidated.clear();
        self.clock_was_set_back = true;
        self.forget_lost_marks();
        for granted in self.book.grants.values_mut() {
            (granted.may_be_over, granted.is_building) = (true, false);
        }
        self.w.settle_undelivered();
    }

    pub(super) fn change_role(&mut self) {
        let is_master = self.w.node.is_master();
        if is_master && !self.chance.one_in(3) {
            return;
        }
        self.book.show(|| format!("master: {}", !is_master));
        match is_master {
            true => {
                self.w.replica = None;
                self.w.become_replica();
                self.w.settle_undelivered();
            }
            false => {
                self.w.become_master();
                let now_ms = self.now_ms();
                self.book.ties_end(now_ms);
                self.w.settle_undelivered();
                if self.chance.one_in(2) {
                    self.w.attach_replica();
                }
            }
        }
    }

    /// DEBUG RELOAD.
    pub(super) fn reload(&mut self) {
        if !self.w.node.is_master() || self.w.is_paused {
            return;
        }
        self.book.show(|| "reload".to_string());
        self.w.settle_undelivered();
        self.collect();
        // Entries are written out as they are seen: what was voided is void. A replica is sent the same anew.
        for (place, stored) in &mut self.w.keys {
            if let Value::Entry(entry) = &mut stored.value {
                *entry = self.w.node.seen(place.0, entry);
            }
        }
        self.has_reloaded = true;
        self.forget_lost_marks();
        let had_replica = self.w.replica.take().is_some();
        self.w.event(Event::LoadBegan { beside: false });
        for (place, stored) in &self.w.keys.clone() {
            let Value::Entry(entry) = &stored.value else { continue };
            let Some(lease) = entry.lease().cloned() else { continue };
            let (youngest, name) = (Some(lease.token), name_of(place));
            let from = LoadedFrom::DataSet;
            self.w.event(Event::Loaded(LoadedLease { db: place.0, name, lease: Some(lease), youngest, from }));
        }
        self.w.event(Event::LoadEnded { beside: false, succeeded: true });
        if had_replica {
            self.w.attach_replica();
        }
        let now_ms = self.now_ms();
        for granted in self.book.grants.values_mut() {
            // What was voided before is known to nobody any more; ties end.
            granted.is_building &= !granted.may_be_over;
            if granted.is_tied {
                (granted.is_building, granted.may_be_over) = (false, true);
                if let Some(once) = self.book.once.get_mut(&granted.place) {
                    once.end_ms = once.end_ms.min(now_ms);
                }
            }
        }
        self.w.settle_undelivered();
    }

    /// What a mark left in an entry that was loaded since is a moment, and no more.
    fn forget_lost_marks(&mut self) {
        if self.clock_was_set_back && self.has_reloaded {
            self.book.marked.clear();
        }
    }
}
