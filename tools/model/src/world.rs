//! The server around one node: keys, clients, clock and a replica. What the module's shell does, and no more.

use corral_core::entry::Entry;
use corral_core::node::event::Event;
use corral_core::node::name::Name;
use corral_core::node::outbox::Outcome;
use corral_core::node::rooms::WaiterId;
use corral_core::node::turn::Due;
use corral_core::node::Form;
use corral_core::node::{Becomes, Caller, Effect, Environment, Held, Key, Node, Parking, Reply, Step, Writes};
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
    /// The timer did not do everything in the last millisecond.
    pub is_late: bool,
    pub replica: Option<Replica>,
    pub has_failed_over: bool,
    pub groups: usize,
    /// Whether it is told from outside who is next.
    pub(crate) knows_the_order: bool,
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

/// What a client does. Its connection has a number of its own.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: u64,
    pub does: Does,
}

#[derive(Clone, Debug)]
pub enum Does {
    Nothing,
    Waits(WaiterId, Parked),
    Builds(Token),
}

/// What the server says when it is asked.
struct Server {
    writes: Writes,
}

impl Environment for Server {
    fn random(&mut self) -> f64 {
        // With a beta of a million, any build at all is long enough for an early refresh.
        0.5
    }
    fn writes(&mut self) -> Writes {
        self.writes.clone()
    }
    fn permits(&mut self, _waiter: WaiterId) -> bool {
        true
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
            ..Settings::default()
        };
        let book = Book { keys: vec![Known { source: 1, ..Known::default() }; run.keys], ..Book::default() };
        let mut world = Self {
            node: Node::new(settings),
            keys: vec![Slot { held: Holds::Nothing, expires: UnixMs::NEVER }; run.keys],
            clients: (1..=run.clients as u64).map(|id| Client { id, does: Does::Nothing }).collect(),
            book,
            broken: Broken::default(),
            wall_ms: START_MS,
            steady_ms: START_MS,
            is_paused: false,
            is_late: false,
            replica: None,
            has_failed_over: false,
            groups: 0,
            knows_the_order: run.knows_the_order(),
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
            Act::Set { key } => self.set(key),
            Act::Invalidate { key } => self.invalidate(key),
            Act::Outdate { key } => self.outdate(key),
            Act::Mark { tag } => self.mark(tag),
            Act::Delete { key } => self.overwrite(key, Holds::Nothing),
            Act::Text { key } => self.overwrite(key, Holds::Text),
            Act::Foreign { key } => self.overwrite(key, Holds::Foreign),
            Act::Flush => self.flush(),
            Act::Configure { groups } => self.configure(groups),
            Act::Pause => self.is_paused = true,
            Act::Unpause => self.is_paused = false,
            Act::Turn => self.turn(),
            Act::Visit => drop(self.visit()),
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
        for client in &mut self.clients {
            if let Does::Waits(_, parked) = &mut client.does {
                if parked.joined == Some(token) {
                    let live = self.book.live(parked.key, now_ms).filter(|build| build.token != token);
                    parked.joined = live.map(|build| build.token);
                    parked.left_ms = self.steady_ms;
                }
            }
        }
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
    pub(crate) fn call(
        &mut self,
        at: usize,
        writes: Writes,
        decide: impl FnOnce(&mut Node, &mut Key) -> Step,
    ) -> Called {
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
        let mut environment = Server { writes };
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
                Effect::Publish(_) => self.seen.note(Situation::AListenerIsTold, true),
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
        self.call(at, Writes::Allowed, Node::visit);
        true
    }

    pub(crate) fn release_all(&mut self) {
        let moment = self.moment();
        self.node.begin_release(moment, None, true);
        while let Some((released, _)) = self.node.next_release(moment) {
            self.told(released.waiter, released.client, &released.outcome);
        }
        self.node.end_release(moment);
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
        let place = place.unwrap_or(now);
        if self.book.places.get(&client).is_some_and(|(of, ..)| *of == key) {
            self.book.places.remove(&client);
        }
        let options = options(&way);
        let known = self.book.known_version(key, self.wall_ms);
        // What the call sees is what is there once what is due is done.
        let called = self
            .call(key, Writes::Allowed, |node, key| node.get_or_lock(key, &options, Caller { client }, Form::Single));
        match called.reply {
            Reply::Park { waiter, .. } => {
                let joined = self.book.live(key, self.wall_ms).map(|build| build.token);
                let gives_up_ms = way.block_ms.filter(|ms| *ms > 0).map(|ms| self.steady_ms + ms);
                let parked = Parked {
                    key,
                    way: number_of_way,
                    asked: now,
                    place,
                    gives_up_ms,
                    joined,
                    known,
                    left_ms: 0,
                    fills: 0,
                };
                if let Some(client) = self.clients.get_mut(number) {
                    client.does = Does::Waits(waiter, parked);
                }
            }
            Reply::Answer(answer) => {
                let gives_up_ms = None;
                let asker = Parked {
                    key,
                    way: number_of_way,
                    asked: now,
                    place,
                    gives_up_ms,
                    joined: None,
                    known,
                    left_ms: 0,
                    fills: 0,
                };
                if let Some(token) = self.answered(client, &asker, &answer, false) {
                    if let Some(client) = self.clients.get_mut(number) {
                        client.does = Does::Builds(token);
                    }
                }
            }
            _ => {}
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
        let Outcome::Answer(answer) = outcome else {
            self.seen.note(Situation::AWaiterMeetsAnotherType, true);
            return None;
        };
        let token = self.answered(client, &parked, answer, true);
        if let (Some(token), Some(of)) = (token, self.clients.get_mut(number?)) {
            of.does = Does::Builds(token);
        }
        token
    }

    /// The connection of a client closes, and a new one takes its place.
    pub(crate) fn crash(&mut self, number: usize) {
        self.last_client += 1;
        let new = Client { id: self.last_client, does: Does::Nothing };
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

    /// If all fall silent, does everybody have an answer when what is due is done when it is due, and does each group
    /// grant again afterwards?
    pub fn look_ahead(&self) -> Broken {
        let mut ahead = self.clone();
        ahead.is_paused = false;
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
        self.wall_ms += 2000;
        self.steady_ms += 2000;
        self.pass_deadlines();
        self.settle_late();
        for (number, group) in GROUPS.iter().enumerate() {
            let probe = self.keys.len();
            self.keys.push(Slot { held: Holds::Nothing, expires: UnixMs::NEVER });
            let options = Options { group: group.map(str::as_bytes), lease_ms: Some(1), ..Options::default() };
            let caller = Caller { client: 1_000_000 + number as u64 };
            let called =
                self.call(probe, Writes::Allowed, |node, key| node.get_or_lock(key, &options, caller, Form::Single));
            let is_granted = matches!(&called.reply, Reply::Answer(answer) if answer.granted().is_some());
            self.broken.note(Rule::AGroupNeverGetsStuck, !is_granted);
        }
    }
}

impl Clone for World {
    fn clone(&self) -> Self {
        let mut node = self.node.clone();
        let mut keys = self.keys.clone();
        for slot in &mut keys {
            if let Holds::Entry(entry) = &mut slot.held {
                entry.use_tags_of(&mut node);
            }
        }
        Self {
            node,
            keys,
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
