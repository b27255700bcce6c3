//! Waiting rooms by key, and the clients parked in them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use corral_lease::ask::Ask;
use corral_lease::room::{Room, Waiter, WaiterId};
use corral_lease::time::UnixMs;
use corral_lease::token::Token;

use super::state::Place;
use super::sys::blocked::{Handle, Seat};

/// The clients that CACHE.GETORLOCK parks; what happens to them is in `parking.rs`.
#[derive(Debug)]
pub struct Seated;

/// One parked client. Owning it is owning the right, and the duty, to release it.
pub struct ParkedClient {
    pub handle: Handle<Seated>,
    pub client_id: u64,
    pub place: Arc<Place>,
    /// When it was parked, by the monotonic clock, in microseconds.
    pub since_us: u64,
}

/// Every waiting room and every parked client.
#[derive(Default)]
pub struct Waiting {
    rooms: HashMap<u32, HashMap<Box<[u8]>, OpenRoom>>,
    /// When each room has something to do, soonest first.
    moments: BTreeSet<(UnixMs, Arc<Place>)>,
    /// Also those whose answer is on its way: until released they can still disconnect.
    clients: HashMap<WaiterId, ParkedClient>,
    seats: HashMap<Seat, WaiterId>,
    last_id: u64,
}

struct OpenRoom {
    room: Room,
    place: Arc<Place>,
    /// Its place in `moments`.
    moment: Option<UnixMs>,
}

/// One caller's wish to be parked.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The rebuild to wait for.
    pub token: Token,
    pub deadline: UnixMs,
    pub ask: Ask,
    pub now: UnixMs,
    /// The caller's own limit.
    pub gives_up: UnixMs,
    /// The moment by the monotonic clock, in microseconds.
    pub since_us: u64,
}

impl Waiting {
    /// How many clients are parked.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// How many are parked on one key.
    pub fn len_at(&self, db: u32, key: &[u8]) -> usize {
        self.room(db, key).map_or(0, |open| open.room.len())
    }

    /// Lets `visitor` see and change the waiting room of one key; an empty one if nobody waits there.
    pub fn visit<R>(&mut self, db: u32, key: &[u8], visitor: impl FnOnce(&mut Room) -> R) -> R {
        let Some(open) = self.rooms.get_mut(&db).and_then(|rooms| rooms.get_mut(key)) else {
            // Nobody to wake, and no step puts a waiter where none was: parking does that.
            return visitor(&mut Room::default());
        };
        let result = visitor(&mut open.room);
        self.settle(db, key);
        result
    }

    /// Parks a client.
    pub fn park(&mut self, db: u32, key: &[u8], wish: &Wish, handle: Handle<Seated>, client_id: u64) {
        self.last_id += 1;
        let id = WaiterId(self.last_id);
        let rooms = self.rooms.entry(db).or_default();
        if !rooms.contains_key(key) {
            let place = Place::new(db, key);
            rooms.insert(key.into(), OpenRoom { room: Room::default(), place, moment: None });
        }
        let Some(open) = rooms.get_mut(key) else { return };
        let waiter = Waiter { ask: wish.ask, gives_up: wish.gives_up };
        open.room.join(wish.token, wish.deadline, id, waiter);
        self.seats.insert(handle.seat(), id);
        let place = open.place.clone();
        self.clients.insert(id, ParkedClient { handle, client_id, place, since_us: wish.since_us });
        self.settle(db, key);
    }

    /// Takes out the client that is about to be given its answer; `None` if it has gone meanwhile.
    pub fn take(&mut self, id: WaiterId) -> Option<ParkedClient> {
        let client = self.clients.remove(&id)?;
        self.seats.remove(&client.handle.seat());
        Some(client)
    }

    pub fn client(&self, id: WaiterId) -> Option<&ParkedClient> {
        self.clients.get(&id)
    }

    /// Takes out the client of a seat, wherever it is: the server has ended its wait. Also says how much was left of
    /// the lease it waited for.
    pub fn leave(&mut self, seat: Seat, now: UnixMs) -> Option<(WaiterId, ParkedClient, u64)> {
        let id = self.seats.remove(&seat)?;
        let client = self.clients.remove(&id)?;
        let place = client.place.clone();
        let left_ms = self.visit(place.db, &place.key, |room| {
            let left_ms = room.lease_left_ms(id, now).unwrap_or(0);
            room.leave(id);
            left_ms
        });
        Some((id, client, left_ms))
    }

    /// The moment the next room has something to do.
    pub fn next_moment(&self) -> Option<UnixMs> {
        self.moments.first().map(|(moment, _)| *moment)
    }

    /// The next room that has something to do by `now`.
    pub fn due(&self, now: UnixMs) -> Option<Arc<Place>> {
        self.moments.first().filter(|(moment, _)| *moment <= now).map(|(_, place)| place.clone())
    }

    /// Every key whose room has something to do by `now`.
    pub fn all_due(&self, now: UnixMs) -> Vec<Arc<Place>> {
        self.moments.iter().take_while(|(moment, _)| *moment <= now).map(|(_, place)| place.clone()).collect()
    }

    /// Every room's key.
    pub fn places(&self) -> Vec<Arc<Place>> {
        self.rooms.values().flat_map(HashMap::values).map(|open| open.place.clone()).collect()
    }

    /// The clock was set back by `ms`: whoever is parked still waits no longer than it said.
    pub fn set_back(&mut self, ms: u64) {
        for place in self.places() {
            self.visit(place.db, &place.key, |room| room.set_back(ms));
        }
    }

    /// Forgets all rooms and gives out all who were parked: the end of every wait at once.
    pub fn evacuate(&mut self) -> Vec<ParkedClient> {
        self.rooms.clear();
        self.moments.clear();
        self.seats.clear();
        self.clients.drain().map(|(_, client)| client).collect()
    }

    fn room(&self, db: u32, key: &[u8]) -> Option<&OpenRoom> {
        self.rooms.get(&db)?.get(key)
    }

    /// Brings `moments` up to date after a room has changed, and closes an empty one.
    fn settle(&mut self, db: u32, key: &[u8]) {
        let Some(rooms) = self.rooms.get_mut(&db) else { return };
        let Some(open) = rooms.get_mut(key) else { return };
        let moment = open.room.next_moment();
        if moment != open.moment {
            if let Some(old) = open.moment.take() {
                self.moments.remove(&(old, open.place.clone()));
            }
            if let Some(new) = moment {
                self.moments.insert((new, open.place.clone()));
            }
            open.moment = moment;
        }
        if open.room.is_empty() {
            rooms.remove(key);
            if rooms.is_empty() {
                self.rooms.remove(&db);
            }
        }
    }
}
