//! What holds after each act, and when all is well again.

use corral_core::node::{Parking, Writes};

use super::Run;

impl Run {
    /// What holds after each act.
    pub(super) fn check(&mut self) {
        self.w.settle_undelivered();
        self.collect();
        self.w.assert_replica_is_equal();
        let groups = self.w.node.groups(self.w.now());
        let line = |of: &corral_core::node::report::GroupReport| {
            format!("{} {} permits {} queued {}", of.name, of.permits, of.queued, of.circuit)
        };
        self.book.show(|| format!("  {:?}", groups.iter().map(line).collect::<Vec<_>>()));
        assert!(self.w.most_effects <= 200, "{} effects in one step", self.w.most_effects);
        if !self.is_writable() {
            return;
        }
        // Kept for a listener, or for the end of a pause: not for longer, each.
        let mut rounds = 0;
        while let Some(idle) = self.idle_permit() {
            assert!(rounds < 12, "a free permit and a queue last together in {idle}");
            rounds += 1;
            let end_us = self.w.steady_us + 110_000;
            while self.w.creep(end_us) {
                self.collect();
            }
        }
    }

    /// Everything is well again, and everybody gets an answer.
    pub(super) fn end(&mut self) {
        self.book.now += 1;
        self.book.show(|| "all is well".to_string());
        self.w.server.writes = Writes::Allowed;
        self.w.server.parking = Parking::Possible;
        self.w.server.forbidden.clear();
        if self.w.is_paused {
            self.w.unpause();
        }
        if !self.w.node.is_master() {
            self.w.become_master();
            let now_ms = self.now_ms();
            self.book.ties_end(now_ms);
        }
        let mut rounds = 0;
        while !(self.w.parked.is_empty() && self.w.in_flight.is_empty()) {
            let end_us = self.w.steady_us + 1_000_000;
            while self.w.creep(end_us) {
                self.collect();
            }
            self.collect();
            rounds += 1;
            assert!(rounds < 700, "{:?} wait for nothing", self.w.parked);
        }
        self.w.pass(200_000);
        assert!(!self.w.node.has_rooms(), "{} listen for nothing", self.w.node.listeners());
        assert_eq!((self.w.node.live_leases(), self.w.node.listeners()), (0, 0));
        assert_eq!(self.w.node.next_due(), None, "nothing is left to do");
        for of in self.w.node.groups(self.w.now()) {
            assert_eq!((of.live, of.permits, of.queued), (0, 0, 0), "{of:?}");
        }
    }

    fn idle_permit(&self) -> Option<String> {
        let groups = self.w.node.groups(self.w.now());
        let is_idle = |of: &&corral_core::node::report::GroupReport| {
            let max = self.max(&of.name) as usize;
            of.queued > 0 && of.circuit == "closed" && (max == 0 || of.permits < max)
        };
        groups.iter().find(is_idle).map(|of| format!("{of:?}"))
    }
}
