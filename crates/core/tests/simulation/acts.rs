//! What can happen in a schedule.

use corral_core::node::{Parking, Writes};

use super::{Run, KEYS};
use crate::world::Place;

impl Run {
    pub(super) fn begin(&mut self) {
        let settings = &mut self.w.node.settings;
        settings.backoff_ms = self.chance.between(1, 300);
        settings.backoff_max_ms = self.chance.pick(&[0, 1000]);
        settings.max_tags = self.chance.pick(&[1, 2, 100]);
        settings.pass_ms = 200;
        settings.lease_ms = 500;
        settings.max_waiters_per_key = self.chance.pick(&[3, 1000]);
        self.w.server.random = None;
        self.w.server.seed = self.chance.between(1, u64::MAX >> 1);
        self.configure();
        if self.chance.one_in(2) {
            self.w.attach_replica();
        }
    }

    /// One thing happens.
    pub(super) fn act(&mut self) {
        self.book.now += 1;
        match self.chance.between(0, 99) {
            0..=41 => self.ask(),
            42..=62 => self.speak(),
            63..=74 => self.pass(),
            75..=78 => self.close(),
            79..=81 => self.invalidate(),
            82..=83 => self.mark(),
            84..=85 => self.outdate(),
            86 => self.set(),
            87 => self.remove(),
            88 => self.move_keys(),
            89..=90 => self.pause(),
            91 => self.refuse(),
            92 => self.forbid(),
            93 => self.configure(),
            94 => self.set_clock(),
            95 => self.change_role(),
            96 => self.expire(),
            97 => self.unblock(),
            98 => self.reload(),
            _ => self.w.server.parking = self.chance.pick(&[Parking::Possible, Parking::Denied, Parking::Memory]),
        }
        self.collect();
    }

    fn configure(&mut self) {
        let text = self.chance.pick(&[
            "g max 1 fails 2 cool-ms 300, h max 2",
            "g max 2, h max 1 block-ms 100 tied yes",
            "g max 1, h fails 1 cool-ms 50",
            "g max 3 fails 1 cool-ms 1000, h max 1 fails 3",
            "h max 1",
            "",
        ]);
        self.book.show(|| format!("groups {text}"));
        self.w.configure(text);
        self.book.trials.clear();
    }

    fn pass(&mut self) {
        let ms = self.chance.pick(&[0, 1, 3, 20, 20, 100, 400, 1200]);
        self.book.show(|| format!("{ms} ms pass"));
        // In steps, each seen: what was granted in between is booked before it can end.
        let end_us = self.w.steady_us + ms * 1000;
        while self.w.creep(end_us) {
            self.collect();
        }
    }

    pub(super) fn max(&self, group: &str) -> u32 {
        self.w.policies.get(group.as_bytes()).map_or(0, |policy| policy.max)
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.w.wall_us / 1000
    }

    pub(super) fn place(&mut self) -> Place {
        (u32::from(self.chance.one_in(8)), self.chance.pick(&KEYS).as_bytes().to_vec())
    }

    /// A connection: a number is never given again after it closed.
    pub(super) fn client(&mut self) -> u64 {
        let seat = self.chance.between(1, self.clients);
        seat + 1000 * self.closed.get(&seat).copied().unwrap_or(0)
    }

    pub(super) fn is_writable(&self) -> bool {
        self.w.node.is_master() && !self.w.is_paused && self.w.server.writes == Writes::Allowed
    }
}
