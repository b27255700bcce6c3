//! The server around one node: keys, clients, clock and a replica. What the module's shell does, and no more.

use corral_core::answer::State;
use corral_core::entry::Entry;
use corral_core::error::Error;
use corral_core::node::event::Event;
use corral_core::node::name::Name;
use corral_core::node::outbox::Outcome;
use corral_core::node::rooms::WaiterId;
use corral_core::node::turn::Due;
use corral_core::node::Form;
use corral_core::node::{Becomes, Caller, Effect, Environment, Held, Key, Message, Node, Parking, Reply, Step, Writes};
use corral_core::request::Options;
use corral_core::settings::Settings;
use corral_core::time::{Moment, SteadyMs, UnixMs};
use corral_core::token::Token;

use crate::act::Act;
use crate::book::{Book, Broken, Circuit, Group, Known, Parked, Rule, GROUPS};
use crate::replica::Replica;
use crate::run::{self, Run, Timer, Way};
use crate::search::{Seen, Situation};

#[derive(Debug)]
pub struct World {
    pub node: Node,
    pub keys: Vec<Slot>,
    pub clients: Vec<Client>,
    pub book: Book,
    pub broken: Broken,
    pub wall_ms: u64,
    pub steady_ms: u64,
    pub is_paused: bool,
    /// What the server says of writes, one of [`WRITES`].
    pub writes: usize,
    /// What was dumped last.
    pub dumped: Option<Dumped>,
    /// The timer did not do everything in the last millisecond.
    pub is_late: bool,
    pub replica: Option<Replica>,
    pub has_failed_over: bool,
    pub groups: usize,
    /// Whether it is told from outside who is next.
    pub(crate) knows_the_order: bool,
    /// The key that the last act put a string into had an entry.
    pub(crate) was_entry: bool,
    /// All have fallen silent: the search looks ahead.
    pub(crate) is_ahead: bool,
    pub(crate) run: &'static Run,
    pub(crate) last_client: u64,
    pub(crate) seen: Seen,
}

/// What one key holds, and its deadline in the server.
#[derive(Clone, Debug)]
pub struct Slot {
    pub held: Holds,
    pub expires: UnixMs,
}

#[derive(Clone, Debug)]
pub enum Holds {
    Nothing,
    Entry(Box<Entry>),
    Text,
    Foreign,
}

/// A payload of DUMP.
#[derive(Clone, Debug)]
pub struct Dumped {
    pub key: usize,
    pub slot: Slot,
    /// What was known of the key then.
    pub known: Known,
}

/// What a client does. Its connection has a number of its own.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: u64,
    pub does: Does,
    /// Its user may not ask for the key any more that it waits for.
    pub is_forbidden: bool,
    /// It waited, and the last act handed it a lease: that may be on its way yet.
    pub is_handed: bool,
}

impl Client {
    pub(crate) const fn new(id: u64) -> Self {
        Self { id, does: Does::Nothing, is_forbidden: false, is_handed: false }
    }
}

#[derive(Clone, Debug)]
pub enum Does {
    Nothing,
    Waits(WaiterId, Parked),
    Builds(Token),
}

/// What the server can say of writes: it takes them; it is out of memory; it refuses them (MISCONF, NOREPLICAS).
pub const WRITES: usize = 3;
pub const FULL: usize = 1;
pub const REFUSED: usize = 2;

/// What the server says when it is asked.
struct Server {
    writes: usize,
    forbidden: Vec<WaiterId>,
}

impl Environment for Server {
    fn random(&mut self) -> f64 {
        // With a beta of a million, any build at all is long enough for an early refresh.
        0.5
    }
    fn writes(&mut self) -> Writes {
        match self.writes {
            FULL => Writes::OutOfMemory((*b"OOM").into()),
            REFUSED => Writes::Refused((*b"MISCONF").into()),
            _ => Writes::Allowed,
        }
    }
    fn permits(&mut self, waiter: WaiterId) -> bool {
        !self.forbidden.contains(&waiter)
    }
    fn parking(&mut self, _waiters: u64, _percent: u64) -> Parking {
        Parking::Possible
    }
}

/// What a call came to.
pub(crate) struct Called {
    pub reply: Reply,
    pub grants: Vec<(u64, Token)>,
}

const START_MS: u64 = 1_000_000;

/// Turns without the clock moving: more, and the node goes round in circles.
const TURNS_IN_ONE_MOMENT: usize = 200;

impl World {
    pub fn new(run: &'static Run, seen: Seen) -> Self {
        let settings = Settings {
            lease_max_ms: run::LEASE_MAX_MS,
            lease_ms: 2,
            backoff_ms: run::BACKOFF_MS,
            pass_ms: run::PASS_MS,
            floor_ms: run::FLOOR_MS,
            max_tags: run.max_tags,
            max_waiters: run.max_waiters,
            max_waiters_per_key: run.max_waiters_per_key,
            ..Settings::default()
        };
        let book = Book { keys: vec![Known { source: 1, ..Known::default() }; run.keys], ..Book::default() };
        let mut world = Self {
            node: Node::new(settings),
            keys: vec![Slot { held: Holds::Nothing, expires: UnixMs::NEVER }; run.keys],
            clients: (1..=run.clients as u64).map(Client::new).collect(),
            book,
            broken: Broken::default(),
            wall_ms: START_MS,
            steady_ms: START_MS,
            is_paused: false,
            writes: 0,
            dumped: None,
            is_late: false,
            replica: None,
            has_failed_over: false,
            groups: 0,
            knows_the_order: run.knows_the_order(),
            was_entry: false,
            is_ahead: false,
            run,
            last_client: run.clients as u64,
            seen,
        };
        world.configure(0);
        if run.failover.is_some() {
            world.replica = Some(Replica::new(&world));
        }
        world
    }

    pub fn put(&mut self, act: Act) {
        self.book.now += 1;
        for client in &mut self.clients {
            client.is_handed &= matches!(act, Act::Lose { .. });
        }
        let before = self.book.clone();
        let parked_before: Vec<u64> = self.parked().map(|(client, _)| client).collect();
        self.act(act);
        if self.run.timer == Timer::Prompt && !matches!(act, Act::Tick | Act::Wait) {
            self.settle();
        }
        self.release_all();
        self.hold_against_book(act, &before, &parked_before);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Ask { client, key, way } => self.ask(client, key, way),
            Act::Fill { client, value } => self.fill(client, value),
            Act::FillRefused { client } => self.fill_refused(client),
            Act::Touch { client } => self.touch(client),
            Act::Fail { client } => self.fail(client),
            Act::Pass { client } => self.pass(client),
            Act::Renew { client } => self.renew(client),
            Act::Release { client } => self.release(client),
            Act::Crash { client } => self.crash(client),
            Act::Lose { client } => self.lose_grant(client),
            Act::Nest { client, key, way } => self.nest(client, key, way),
            Act::Forbid { client } => {
                if let Some(client) = self.clients.get_mut(client) {
                    client.is_forbidden = !client.is_forbidden;
                }
            }
            Act::Set { key } => self.set(key),
            Act::Invalidate { key } => self.invalidate(key),
            Act::Outdate { key } => self.outdate(key),
            Act::Mark { tag } => self.mark(tag),
            Act::Delete { key } => self.overwrite(key, Holds::Nothing),
            Act::Text { key } => {
                self.was_entry = self.entry(key).is_some();
                let waits = self.parked().any(|(_, parked)| parked.key == key);
                self.seen.note(Situation::AStringWakesWaiters, self.was_entry && waits);
                self.overwrite(key, Holds::Text);
            }
            Act::Foreign { key } => self.overwrite(key, Holds::Foreign),
            Act::Flush => self.flush(),
            Act::Dump { key } => self.dump(key),
            Act::Restore => self.restore(),
            Act::Refuse { writes } => self.writes = writes,
            Act::Restart => self.restart(),
            Act::Configure { groups } => self.configure(groups),
            Act::Pause => self.is_paused = true,
            Act::Unpause => self.is_paused = false,
            Act::Turn => self.turn(),
            Act::Visit => drop(self.visit()),
            Act::Deliver => drop(self.release_next()),
            Act::Tick => self.tick(1),
            Act::Wait => {
                let ms = self.next_in_ms().unwrap_or(1).max(1);
                self.tick(ms);
            }
            Act::Replicate => {
                if let Some(replica) = &mut self.replica {
                    replica.catch_up();
                }
            }
            Act::Failover => self.fail_over(),
        }
    }

    /// Time passes, and with a prompt timer what is due then is done millisecond for millisecond.
    pub(crate) fn tick(&mut self, ms: u64) {
        for _ in 0..ms {
            self.wall_ms += 1;
            self.steady_ms += 1;
            self.pass_deadlines();
            if self.run.timer == Timer::Prompt {
                self.settle();
            }
        }
        self.is_late = self.run.timer == Timer::Late && self.is_due();
    }

    /// What the book makes of a moment.
    fn pass_deadlines(&mut self) {
        if self.is_paused {
            return;
        }
        let now_ms = self.wall_ms;
        let mut late: Vec<(bool, u64, Token, usize, bool)> = Vec::new();
        let awaited: Vec<Token> = self.parked().filter_map(|(_, parked)| parked.joined).collect();
        for build in &mut self.book.builds {
            if !build.is_over && !build.is_late && build.deadline_ms <= now_ms {
                build.is_late = true;
                let is_awaited = awaited.contains(&build.token);
                late.push((!is_awaited, build.deadline_ms, build.token, build.group, build.is_current));
            }
        }
        late.sort_unstable();
        for (_, _, token, group, is_current) in late {
            if is_current {
                self.book.failed(group, token, now_ms);
                self.lose(token, now_ms);
            }
            self.leave(token);
        }
    }

    /// A lease with ONCE ended without a verdict.
    pub(crate) fn lose(&mut self, token: Token, from_ms: u64) {
        let Some(build) = self.book.build(token) else { return };
        let (key, once_ms) = (build.key, build.once_ms);
        if let (Some(ms), Some(known)) = (once_ms, self.book.keys.get_mut(key)) {
            known.unknown_until_ms = if ms == 0 { u64::MAX } else { from_ms + ms };
        }
    }

    /// Whoever joined a rebuild waits for the key's lease by now, if there is one.
    pub(crate) fn leave(&mut self, token: Token) {
        let now_ms = self.wall_ms;
        let mut listening = std::mem::take(&mut self.book.listening);
        let waiting = self.clients.iter_mut().filter_map(|client| match &mut client.does {
            Does::Waits(_, parked) => Some(parked),
            _ => None,
        });
        for parked in waiting.chain(listening.values_mut()) {
            if parked.joined == Some(token) {
                let live = self.book.live(parked.key, now_ms).filter(|build| build.token != token);
                parked.joined = live.map(|build| build.token);
                parked.left_ms = self.steady_ms;
            }
        }
        self.book.listening = listening;
    }

    pub fn parked(&self) -> impl Iterator<Item = (u64, &Parked)> {
        self.clients.iter().filter_map(|client| match &client.does {
            Does::Waits(_, parked) => Some((client.id, parked)),
            _ => None,
        })
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { wall_us: self.wall_ms * 1000, steady_us: self.steady_ms * 1000 }
    }

    /// One call on one key, and what follows.
    pub(crate) fn call(&mut self, at: usize, decide: impl FnOnce(&mut Node, &mut Key) -> Step) -> Called {
        self.expire(at);
        let moment = self.moment();
        let none = Called { reply: Reply::Nothing, grants: Vec::new() };
        let Some(slot) = self.keys.get(at).cloned() else { return none };
        let name = [b'a' + at as u8];
        let (held, mut entry) = match slot.held {
            Holds::Nothing => (Held::Nothing, Entry::vacant()),
            Holds::Entry(entry) => (Held::Entry, *entry),
            Holds::Text => (Held::String { value: Some((*b"text").into()) }, Entry::vacant()),
            Holds::Foreign => (Held::Foreign, Entry::vacant()),
        };
        let forbidden =
            self.clients.iter().filter(|client| client.is_forbidden).filter_map(|client| match client.does {
                Does::Waits(waiter, _) => Some(waiter),
                _ => None,
            });
        let mut environment = Server { writes: self.writes, forbidden: forbidden.collect() };
        let mut key = Key {
            db: 0,
            name: &name,
            held,
            entry: &mut entry,
            expires: slot.expires,
            moment,
            is_paused: self.is_paused,
            environment: &mut environment,
        };
        let step = decide(&mut self.node, &mut key);
        let becomes = match step.becomes {
            Becomes::Same => None,
            Becomes::Removed => Some(Slot { held: Holds::Nothing, expires: UnixMs::NEVER }),
            Becomes::Stored { value, expire_at } => {
                if let Some(replica) = &mut self.replica {
                    replica.sent_entry(at, &entry, value, expire_at);
                }
                Some(Slot { held: Holds::Entry(Box::new(entry)), expires: expire_at })
            }
        };
        if let (Some(becomes), Some(slot)) = (becomes, self.keys.get_mut(at)) {
            if let (Holds::Nothing, Some(replica)) = (&becomes.held, &mut self.replica) {
                replica.sent_removal(at);
            }
            *slot = becomes;
        }
        self.carry_out(step)
    }

    fn carry_out(&mut self, step: Step) -> Called {
        let mut grants = Vec::new();
        for effect in step.effects {
            match effect {
                Effect::Release { waiter, outcome, client, .. } => {
                    if let Some(token) = self.told(waiter, client, &outcome) {
                        grants.push((client, token));
                    }
                }
                Effect::Publish(message) => self.published(&message),
                Effect::Notify(_) | Effect::Expired { .. } | Effect::Built { .. } | Effect::NotParked { .. } => {}
            }
        }
        Called { reply: step.reply, grants }
    }

    pub(crate) fn slot_of(&self, name: &[u8]) -> usize {
        name.first().map_or(0, |letter| usize::from(letter - b'a'))
    }

    pub fn entry(&self, at: usize) -> Option<&Entry> {
        match self.keys.get(at).map(|slot| &slot.held) {
            Some(Holds::Entry(entry)) => Some(entry),
            _ => None,
        }
    }

    /// The server removes a key whose own deadline has passed before anybody sees it.
    fn expire(&mut self, at: usize) {
        let is_over = self.keys.get(at).is_some_and(|slot| slot.expires <= UnixMs::new(self.wall_ms));
        if is_over && !self.is_paused {
            self.unlink(at, Holds::Nothing);
        }
    }

    /// What was in a key leaves it: the module is told.
    pub(crate) fn unlink(&mut self, at: usize, becomes: Holds) {
        let token = self.entry(at).and_then(|entry| entry.lease()).map(|lease| lease.token);
        let was_entry = self.entry(at).is_some();
        let husk_until = self.entry(at).filter(|entry| entry.value().is_none()).map(Entry::marks_kept_until);
        if let Some(until) = husk_until.filter(|until| *until > UnixMs::EPOCH) {
            let event = Event::HuskGone { db: 0, name: Name::new(&[b'a' + at as u8]), until };
            self.node.event(event, self.moment());
        }
        if was_entry {
            let event = Event::Unlinked { db: 0, name: Name::new(&[b'a' + at as u8]), token };
            self.node.event(event, self.moment());
        }
        if let Some(replica) = &mut self.replica {
            replica.sent_removal(at);
        }
        if let Some(slot) = self.keys.get_mut(at) {
            *slot = Slot { held: becomes, expires: UnixMs::NEVER };
        }
    }

    fn turn(&mut self) {
        let step = self.node.turn(self.moment(), self.is_paused);
        self.carry_out(step);
        // Replicas do not forget marks by themselves: they are told of the floor.
        let floor = if self.is_paused { Vec::new() } else { self.node.take_floor() };
        for record in floor {
            if let Some(replica) = &mut self.replica {
                replica.sent_marks(&record);
            }
        }
    }

    /// Looks at the next key. Whether there was one.
    fn visit(&mut self) -> bool {
        if self.is_paused {
            return false;
        }
        let Some((_, name)) = self.node.next_visit(self.moment()) else { return false };
        let at = self.slot_of(&name);
        self.call(at, Node::visit);
        true
    }

    pub(crate) fn release_all(&mut self) {
        if self.run.is_paced && !self.is_ahead {
            return;
        }
        while self.release_next() {}
    }

    /// One answer goes out. Whether there was one.
    fn release_next(&mut self) -> bool {
        let moment = self.moment();
        self.node.begin_release(moment, None, true);
        let next = self.node.next_release(moment);
        self.node.end_release(moment);
        let Some((released, _)) = next else { return false };
        let is_forbidden = self.clients.iter().any(|client| client.id == released.client && client.is_forbidden);
        // Asked again when its answer goes out.
        let outcome = if is_forbidden { Outcome::Error(Error::NoPermission) } else { released.outcome };
        self.told(released.waiter, released.client, &outcome);
        true
    }

    pub(crate) fn is_due(&self) -> bool {
        self.next_in_ms() == Some(0)
    }

    /// In how many ms the node is due.
    pub(crate) fn next_in_ms(&self) -> Option<u64> {
        match self.node.next_due()? {
            Due::Now => Some(0),
            Due::At { wall, steady } => {
                let wall = wall.and_then(UnixMs::get).map(|at| at.saturating_sub(self.wall_ms));
                let steady = steady.filter(|at| *at != SteadyMs::NEVER).map(|at| at.0.saturating_sub(self.steady_ms));
                wall.into_iter().chain(steady).min()
            }
        }
    }

    /// Does all that is due at this moment.
    pub(crate) fn settle(&mut self) {
        for _ in 0..TURNS_IN_ONE_MOMENT {
            if !self.is_due() {
                return;
            }
            self.turn();
            while self.visit() {}
            self.release_all();
        }
        self.broken.note(Rule::EverybodyIsAnsweredIfTimeRunsOn, true);
    }

    pub(crate) fn configure(&mut self, groups: usize) {
        self.groups = groups;
        let text = self.run.groups.get(groups).copied().unwrap_or_default();
        let policies = corral_core::policy::parse(text.as_bytes(), run::LEASE_MAX_MS).unwrap_or_default();
        self.node.configure_groups(&policies);
        let old = std::mem::take(&mut self.book.groups);
        for (number, name) in GROUPS.iter().enumerate() {
            let policy = policies.get(name.unwrap_or("default").as_bytes());
            let (max, fails) = policy.map_or((0, 0), |policy| (policy.max.into(), policy.fails.into()));
            let circuit = match old.get(number) {
                Some(group) if fails > 0 => group.circuit,
                _ => Circuit::Closed { failures: 0 },
            };
            let cool_ms = policy.map_or(1000, |policy| policy.cool_ms);
            self.book.groups.push(Group { max, fails, cool_ms, circuit });
        }
    }

    fn ask(&mut self, number: usize, key: usize, number_of_way: usize) {
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

    /// The server's own error is for when it refuses writes, and no other time.
    fn refused(&mut self, error: &Error) {
        if let Error::Server(_) = error {
            self.seen.note(Situation::AWaiterIsRefused, true);
            self.broken.note(Rule::NobodyIsRefusedWithoutReason, self.writes != REFUSED);
        }
    }

    /// A holder asks on: where the call would have to wait for what the same connection holds, it does not.
    fn nest(&mut self, number: usize, key: usize, number_of_way: usize) {
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

    /// Beyond the limit nobody listens.
    fn has_ears_for(&self, key: usize) -> bool {
        self.run.max_waiters_per_key > 0 && self.node.audience(0, &[b'a' + key as u8]).listeners > 0
    }

    /// Who listens to a key is told, once, and a permit is kept for its next ask if it queued.
    fn published(&mut self, message: &Message) {
        self.seen.note(Situation::AListenerIsTold, true);
        let key = self.slot_of(&message.name);
        let listened = self.book.listening.remove(&key);
        self.broken.note(Rule::ListenersAreToldOnce, listened.is_none());
        let Some(listened) = listened else { return };
        let (group, max) = self.group_of(listened.way);
        let queued = listened.joined.is_none() && listened.left_ms != self.steady_ms;
        if message.state == State::Wait && max > 0 && queued {
            self.book.kept.push((key, group, self.steady_ms + 100));
        }
    }

    /// A parked client is told something: it is granted a lease, or done.
    fn told(&mut self, waiter: WaiterId, client: u64, outcome: &Outcome) -> Option<Token> {
        let number = self
            .clients
            .iter()
            .position(|of| of.id == client && matches!(&of.does, Does::Waits(waits, _) if *waits == waiter));
        self.broken.note(Rule::EveryWaiterIsAnsweredOnce, number.is_none());
        let of = self.clients.get_mut(number?)?;
        let Does::Waits(_, parked) = std::mem::replace(&mut of.does, Does::Nothing) else { return None };
        let is_forbidden = std::mem::take(&mut of.is_forbidden);
        let answer = match outcome {
            Outcome::Answer(answer) => answer,
            Outcome::Error(error) => {
                self.seen.note(Situation::AWaiterMeetsAnotherType, *error == Error::WrongType);
                self.seen.note(Situation::AWaiterIsForbidden, *error == Error::NoPermission);
                let is_forbidden = is_forbidden || *error != Error::NoPermission;
                self.broken.note(Rule::NobodyIsRefusedWithoutReason, !is_forbidden);
                self.refused(error);
                return None;
            }
        };
        let gets_something = answer.payload().is_some() || answer.granted().is_some();
        self.broken.note(Rule::WhatTheCallerMayNotItGetsNot, is_forbidden && gets_something);
        let is_late = parked.gives_up_ms.is_some_and(|at| at <= self.steady_ms);
        self.broken.note(Rule::NobodyWaitsBeyondItsBlock, is_late && answer.state() != State::Wait);
        let token = self.answered(client, &parked, answer, true);
        if let (Some(token), Some(of)) = (token, self.clients.get_mut(number?)) {
            (of.does, of.is_handed) = (Does::Builds(token), true);
        }
        token
    }

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
    fn lose_grant(&mut self, number: usize) {
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

    fn settle_late(&mut self) {
        self.settle();
        self.release_all();
    }

    /// When nothing is left of before, somebody who asks is granted.
    fn ask_in_each_group(&mut self) {
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

impl Clone for World {
    fn clone(&self) -> Self {
        let mut node = self.node.clone();
        let mut keys = self.keys.clone();
        let mut dumped = self.dumped.clone();
        for slot in keys.iter_mut().chain(dumped.as_mut().map(|dumped| &mut dumped.slot)) {
            if let Holds::Entry(entry) = &mut slot.held {
                entry.use_tags_of(&mut node);
            }
        }
        Self {
            node,
            keys,
            dumped,
            clients: self.clients.clone(),
            book: self.book.clone(),
            broken: self.broken.clone(),
            replica: self.replica.clone(),
            seen: self.seen.clone(),
            ..*self
        }
    }
}

fn options(way: &Way) -> Options<'static> {
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
