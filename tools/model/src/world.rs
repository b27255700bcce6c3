//! The server around one node: keys, clients, clock and a replica, and everything that can happen there.

use corral_core::entry::Entry;
use corral_core::node::rooms::WaiterId;
use corral_core::node::turn::Due;
use corral_core::node::Node;
use corral_core::settings::Settings;
use corral_core::time::{Moment, SteadyMs, UnixMs};
use corral_core::token::Token;

use crate::act::Act;
use crate::book::{Book, Broken, Circuit, Group, Known, Parked, Rule, GROUPS};
use crate::replica::Replica;
use crate::run::{self, Run, Timer};
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
    /// The timer was late when the last act came.
    pub(crate) was_due: bool,
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
            was_due: false,
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
        self.was_due = self.is_due();
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
                if ms > 1 {
                    self.check_queues();
                }
            }
        }
        self.is_late = self.run.timer == Timer::Late && self.is_due();
    }

    /// What the book makes of a moment.
    pub(crate) fn pass_deadlines(&mut self) {
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
        let now = self.book.now;
        let mut listening = std::mem::take(&mut self.book.listening);
        let waiting = self.clients.iter_mut().filter_map(|client| match &mut client.does {
            Does::Waits(_, parked) => Some(parked),
            _ => None,
        });
        for parked in waiting.chain(listening.values_mut()) {
            if parked.joined == Some(token) {
                let live = self.book.live(parked.key, now_ms).filter(|build| build.token != token);
                parked.joined = live.map(|build| build.token);
                (parked.left_ms, parked.left) = (self.steady_ms, now);
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
