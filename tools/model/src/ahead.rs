//! If all fall silent: what becomes of who waits, and of each group.

use corral_core::node::{Caller, Form, Reply};
use corral_core::request::Options;
use corral_core::time::UnixMs;

use crate::book::{Broken, Rule, GROUPS};
use crate::world::{Holds, Slot, World};

impl World {
    /// If all fall silent, does everybody have an answer when what is due is done when it is due, and does each group
    /// grant again afterwards?
    pub fn look_ahead(&self) -> Broken {
        let mut ahead = self.clone();
        (ahead.is_paused, ahead.is_ahead) = (false, true);
        let mut rounds = 0;
        loop {
            ahead.settle_late();
            let Some(ms) = ahead.next_in_ms() else { break };
            let is_idle = ahead.parked().next().is_none() && ahead.node.listeners() == 0;
            if is_idle && ms > 20 || rounds > 100 {
                break;
            }
            rounds += 1;
            let ms = ms.max(1);
            ahead.wall_ms += ms;
            ahead.steady_ms += ms;
            ahead.pass_deadlines();
        }
        let is_waiting = ahead.parked().next().is_some() || ahead.node.listeners() > 0;
        ahead.broken.note(Rule::EverybodyIsAnsweredIfTimeRunsOn, is_waiting);
        ahead.ask_in_each_group();
        ahead.broken
    }

    pub(crate) fn settle_late(&mut self) {
        self.settle();
        self.release_all();
    }

    /// When nothing is left of before, somebody who asks is granted.
    pub(crate) fn ask_in_each_group(&mut self) {
        self.writes = 0;
        self.wall_ms += 2000;
        self.steady_ms += 2000;
        self.pass_deadlines();
        self.settle_late();
        for (number, group) in GROUPS.iter().enumerate() {
            let probe = self.keys.len();
            self.keys.push(Slot { held: Holds::Nothing, expires: UnixMs::NEVER });
            let options = Options { group: group.map(str::as_bytes), lease_ms: Some(1), ..Options::default() };
            let caller = Caller { client: 1_000_000 + number as u64 };
            let called = self.call(probe, |node, key| node.get_or_lock(key, &options, caller, Form::Single));
            let is_granted = matches!(&called.reply, Reply::Answer(answer) if answer.granted().is_some());
            self.broken.note(Rule::AGroupNeverGetsStuck, !is_granted);
        }
    }
}
