//! What others do to the keyspace, and what happens to the server.

use corral_core::node::event::Event;
use corral_core::time::{Clock, UnixMs};

use super::{place, Place, Stored, Value, World};

impl World {
    pub fn del(&mut self, key: &str) {
        self.del_at(&place(key));
    }

    pub fn del_at(&mut self, place: &Place) {
        self.unlink(place);
        self.replicate_server_removal(place);
    }

    /// A plain SET over whatever is there.
    pub fn set_string(&mut self, key: &str, value: &str) {
        self.set_string_at(&place(key), value);
    }

    pub fn set_string_at(&mut self, at: &Place, value: impl AsRef<[u8]>) {
        self.unlink(at);
        let stored = Stored { value: Value::Text(value.as_ref().to_vec()), expires: UnixMs::NEVER };
        self.replicate_server_value(at, &stored);
        self.keys.insert(at.clone(), stored);
    }

    /// Something of another type, over whatever is there.
    pub fn set_other(&mut self, key: &str) {
        self.set_other_at(&place(key));
    }

    pub fn set_other_at(&mut self, at: &Place) {
        self.unlink(at);
        let stored = Stored { value: Value::List(1), expires: UnixMs::NEVER };
        self.replicate_server_value(at, &stored);
        self.keys.insert(at.clone(), stored);
    }

    /// EXPIRE or PERSIST.
    pub fn set_expiry(&mut self, key: &str, in_ms: Option<u64>) {
        self.set_expiry_at(&place(key), in_ms);
    }

    pub fn set_expiry_at(&mut self, at: &Place, in_ms: Option<u64>) {
        let expires = in_ms.map_or(UnixMs::NEVER, |ms| self.now().plus(ms));
        if let Some(stored) = self.keys.get_mut(at) {
            stored.expires = expires;
            let stored = stored.clone();
            self.replicate_server_value(at, &stored);
        }
    }

    pub fn expiry(&self, key: &str) -> Option<UnixMs> {
        self.keys.get(&place(key)).map(|stored| stored.expires)
    }

    pub fn flush_all(&mut self) {
        self.keys.clear();
        self.replicate_flush();
        self.event(Event::Flushed { db: None });
    }

    pub fn swap(&mut self, first: u32, second: u32) {
        let exchange = |(db, name): Place| match db {
            db if db == first => (second, name),
            db if db == second => (first, name),
            db => (db, name),
        };
        let keys = std::mem::take(&mut self.keys);
        self.keys = keys.into_iter().map(|(at, stored)| (exchange(at), stored)).collect();
        self.replicate_swap((first, second), &exchange);
        self.event(Event::Swapped { first, second });
    }

    pub fn rename(&mut self, from: &str, to: &str) {
        self.move_to(&place(from), &place(to));
    }

    /// RENAME or MOVE: the value travels, the lease does not.
    pub fn move_to(&mut self, from: &Place, to: &Place) {
        self.unlink(to);
        self.replicate_server_removal(to);
        let Some(mut stored) = self.unlink(from) else { return };
        self.replicate_server_removal(from);
        if let Value::Entry(entry) = &mut stored.value {
            entry.void_lease(Clock::at(self.now()));
        }
        self.replicate_server_value(to, &stored);
        self.keys.insert(to.clone(), stored);
    }

    pub fn pause(&mut self) {
        self.is_paused = true;
        self.turn();
    }

    pub fn unpause(&mut self) {
        self.is_paused = false;
        self.settle();
    }

    pub fn become_replica(&mut self) {
        self.event(Event::RoleChanged { is_master: false });
    }

    pub fn become_master(&mut self) {
        self.event(Event::RoleChanged { is_master: true });
    }
}
