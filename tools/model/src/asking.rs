//! Who asks, in which way, and who asks on behind what it holds.

use corral_core::answer::State;
use corral_core::node::{Caller, Form, Reply};
use corral_core::request::Options;
use corral_core::token::Token;

use crate::book::{Parked, Rule, GROUPS};
use crate::run::Way;
use crate::search::Situation;
use crate::world::{Does, World};

impl World {
    pub(crate) fn ask(&mut self, number: usize, key: usize, number_of_way: usize) {
        let Some(way) = self.run.ways.get(number_of_way).copied() else { return };
        let Some(client) = self.clients.get(number).map(|client| client.id) else { return };
        let now = self.book.now;
        let place = match self.book.places.get(&client) {
            Some((of, place, until_ms)) if *of == key => (self.steady_ms < *until_ms).then_some(*place),
            _ => None,
        };
        self.seen.note(Situation::APlaceIsKept, place.is_some());
        let place = place.unwrap_or(now);
        if self.book.places.get(&client).is_some_and(|(of, ..)| *of == key) {
            self.book.places.remove(&client);
        }
        let options = options(&way);
        let known = self.book.known_version(key, self.wall_ms);
        // What the call sees is what is there once what is due is done.
        let called = self.call(key, |node, key| node.get_or_lock(key, &options, Caller { client }, Form::Single));
        let asker = Parked {
            key,
            way: number_of_way,
            asked: now,
            place,
            gives_up_ms: None,
            joined: None,
            known,
            left_ms: 0,
            left: 0,
            fills: 0,
        };
        let joined = self.book.live(key, self.wall_ms).map(|build| build.token);
        match called.reply {
            Reply::Park { waiter, .. } => {
                let gives_up_ms = way.block_ms.filter(|ms| *ms > 0).map(|ms| self.steady_ms + ms);
                if let Some(client) = self.clients.get_mut(number) {
                    client.does = Does::Waits(waiter, Parked { gives_up_ms, joined, ..asker });
                }
            }
            Reply::Answer(answer) => {
                let is_turned_away = way.block_ms.is_some() && answer.state() == State::Wait;
                self.seen.note(Situation::SomebodyIsTurnedAway, is_turned_away);
                if let Some(token) = self.answered(client, &asker, &answer, false) {
                    if let Some(client) = self.clients.get_mut(number) {
                        client.does = Does::Builds(token);
                    }
                }
                if way.notify && answer.state() == State::Wait && self.has_ears_for(key) {
                    self.book.listening.entry(key).or_insert(Parked { joined, ..asker });
                }
            }
            Reply::Error(error) => self.refused(&error),
            _ => {}
        }
    }

    /// A holder asks on: where the call would have to wait for what the same connection holds, it does not.
    pub(crate) fn nest(&mut self, number: usize, key: usize, number_of_way: usize) {
        let Some(way) = self.run.ways.get(number_of_way).copied() else { return };
        let Some(client) = self.clients.get(number).map(|client| client.id) else { return };
        let options = options(&way);
        let called = self.call(key, |node, key| node.get_or_lock(key, &options, Caller { client }, Form::Single));
        let waits = matches!(called.reply, Reply::Park { .. });
        self.broken.note(Rule::NobodyWaitsForItself, waits);
        self.seen.note(Situation::AHolderAsksOn, true);
        let is_granted = matches!(&called.reply, Reply::Answer(answer) if answer.granted().is_some());
        self.broken.note(Rule::PermitsNeverExceedTheLimit, is_granted);
    }

    /// Whether a call of this client would have to wait for what it holds itself.
    pub fn is_behind_itself(&self, token: Token, key: usize, way: &Way) -> bool {
        let now_ms = self.wall_ms;
        let Some(build) = self.book.build(token).filter(|build| build.holds_permit(now_ms)) else { return false };
        let live = self.book.live(key, now_ms).map(|build| build.token);
        let max = self.book.groups.get(build.group).map_or(0, |group| group.max);
        let is_full = max > 0 && self.book.permits(build.group, now_ms) >= max;
        let is_of_group = GROUPS.get(build.group).is_some_and(|group| *group == way.group);
        way.block_ms.is_some() && (live == Some(token) || (live.is_none() && is_full && is_of_group))
    }
}

pub(crate) fn options(way: &Way) -> Options<'static> {
    Options {
        lease_ms: Some(way.lease_ms),
        block_ms: way.block_ms,
        class: corral_core::decision::Class { no_stale: way.no_stale, force: way.force },
        early_beta: way.early.then_some(1e6),
        is_tied: way.tied,
        notify: way.notify,
        group: way.group.map(str::as_bytes),
        once_ms: way.once_ms,
    }
}
