//! Connections that close, and leases that are on their way then.

use corral_core::node::event::Event;
use corral_core::node::name::Name;

use crate::search::Situation;
use crate::world::{Client, Does, World};

impl World {
    /// The connection of a client closes, and a new one takes its place.
    pub(crate) fn crash(&mut self, number: usize) {
        self.last_client += 1;
        let new = Client::new(self.last_client);
        let Some(client) = self.clients.get_mut(number) else { return };
        let old = std::mem::replace(client, new);
        let moment = self.moment();
        match old.does {
            Does::Waits(waiter, _) => {
                self.node.gone(waiter);
            }
            Does::Builds(token) => {
                let now_ms = self.wall_ms;
                if let Some(build) = self.book.build(token).cloned().filter(|build| build.is_tied) {
                    self.seen.note(Situation::ATiedHolderDies, true);
                    self.book.end_without_verdict(build.group, token);
                    if build.is_live(now_ms) {
                        self.lose(token, now_ms);
                    }
                    if let Some(build) = self.book.build_mut(token) {
                        build.is_over = true;
                    }
                    self.leave(token);
                }
            }
            Does::Nothing => {}
        }
        self.book.places.remove(&old.id);
        self.node.event(Event::ClientGone { client: old.id }, moment);
    }

    /// A lease did not reach the client it was handed to: it is none, and handed on.
    pub(crate) fn lose_grant(&mut self, number: usize) {
        self.last_client += 1;
        let new = Client::new(self.last_client);
        let Some(client) = self.clients.get_mut(number) else { return };
        let old = std::mem::replace(client, new);
        let Does::Builds(token) = old.does else { return };
        let Some(build) = self.book.build(token).cloned() else { return };
        self.seen.note(Situation::AGrantIsLost, true);
        self.book.end_without_verdict(build.group, token);
        if let Some(build) = self.book.build_mut(token) {
            (build.is_current, build.is_over) = (false, true);
        }
        self.leave(token);
        let (moment, name) = (self.moment(), Name::new(&[b'a' + build.key as u8]));
        self.node.event(Event::GrantLost { db: 0, name, token }, moment);
        self.node.event(Event::ClientGone { client: old.id }, moment);
    }
}
