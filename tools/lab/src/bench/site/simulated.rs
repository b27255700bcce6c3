//! The site on the node, by a virtual clock: what the module's shell does, for a server without clients' sockets.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use anyhow::{bail, Context, Result};
use corral_core::answer::State;
use corral_core::codec::{self, ValuePart};
use corral_core::entry::Entry;
use corral_core::node::event::Event;
use corral_core::node::name::Name;
use corral_core::node::outbox::Outcome;
use corral_core::node::rooms::WaiterId;
use corral_core::node::turn::Due;
use corral_core::node::{Becomes, Caller, Effect, Environment, Form, Held, Key, Node, Parking, Reply, Step, Writes};
use corral_core::request::{Labelled, Labels, Options};
use corral_core::settings::Settings;
use corral_core::time::{Moment, UnixMs};
use corral_core::token::Token;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Exp, Zipf};

use super::{Load, Site};

pub(super) fn run(site: &Site) -> Result<Load> {
    let mut world = World {
        node: Node::new(Settings::default()),
        keys: HashMap::new(),
        parked: HashMap::new(),
        builds: BinaryHeap::new(),
        build_us: site.build.as_micros() as u64,
        now_us: BEGIN_US,
        parked_until_us: BEGIN_US,
        load: Load::default(),
    };
    let value: Arc<[u8]> = vec![b'x'; site.value_bytes].into();
    let mut random = SmallRng::seed_from_u64(1);
    let stale_ms = site.stale.as_millis();
    // Every page is there, and ends at a moment of its own.
    for page in 1..=site.pages {
        let left_ms = random.random_range(1..=site.fresh.as_millis());
        world.store(page, None, &value, &format!("PX {left_ms} SWR {stale_ms}"))?;
    }
    world.load = Load::default();
    let labels = format!("PX {} SWR {stale_ms}", site.fresh.as_millis());
    let (pages, gaps) = (Zipf::new(site.pages as f64, 1.0)?, Exp::new(site.requests_per_second)?);
    let end_us = BEGIN_US + site.length.as_micros() as u64;
    // Not in whole microseconds: there are several requests in one of them, or nearly.
    let mut next_us = BEGIN_US as f64;
    loop {
        let build_us = world.builds.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
        let due_us = world.due_us();
        world.now_us = (next_us as u64).min(build_us).min(due_us).max(world.now_us);
        if world.now_us >= end_us {
            break;
        }
        if world.now_us >= due_us {
            world.turn()?;
        } else if let Some(Reverse((_, page, token))) = world.builds.pop_if_due(world.now_us) {
            world.store(page, Some(token), &value, &labels)?;
        } else {
            world.ask(pages.sample(&mut random) as usize)?;
            let gap: f64 = gaps.sample(&mut random);
            next_us += gap * 1e6;
        }
    }
    world.account();
    world.load.parked_mean /= (end_us - BEGIN_US) as f64;
    Ok(world.load)
}

struct World {
    node: Node,
    keys: HashMap<usize, (Entry, UnixMs)>,
    /// Since when, and for which page.
    parked: HashMap<WaiterId, (u64, usize)>,
    builds: Builds,
    build_us: u64,
    now_us: u64,
    /// So far the time of parked clients is counted.
    parked_until_us: u64,
    load: Load,
}

/// When each is done, of which page, by which token.
type Builds = BinaryHeap<Reverse<(u64, usize, Token)>>;

trait PopIfDue {
    fn pop_if_due(&mut self, now_us: u64) -> Option<Reverse<(u64, usize, Token)>>;
}

impl PopIfDue for Builds {
    fn pop_if_due(&mut self, now_us: u64) -> Option<Reverse<(u64, usize, Token)>> {
        let is_due = self.peek().is_some_and(|Reverse((at, ..))| *at <= now_us);
        is_due.then(|| self.pop()).flatten()
    }
}

impl World {
    fn ask(&mut self, page: usize) -> Result<()> {
        self.load.requests += 1.0;
        let options = Options::parse(ASK.split(' ').map(str::as_bytes), true, LEASE_MAX_MS).map_err(told)?;
        // Nobody asks twice on one connection here.
        let caller = Caller { client: self.load.requests as u64 };
        match self.step(page, |node, key| node.get_or_lock(key, &options, caller, Form::Single))? {
            Reply::Park { waiter, .. } => {
                self.account();
                self.parked.insert(waiter, (self.now_us, page));
                self.load.parked_most = self.load.parked_most.max(self.parked.len() as f64);
            }
            Reply::Answer(answer) => self.granted(page, answer.granted()),
            other => bail!("a request came to {other:?}"),
        }
        Ok(())
    }

    fn granted(&mut self, page: usize, token: Option<Token>) {
        if let Some(token) = token {
            self.load.builds += 1.0;
            self.builds.push(Reverse((self.now_us + self.build_us, page, token)));
        }
    }

    /// SET, or FILL by a token.
    fn store(&mut self, page: usize, token: Option<Token>, value: &[u8], labels: &str) -> Result<()> {
        let kind = if token.is_some() { Labelled::Fill } else { Labelled::Set };
        let labels = Labels::parse(labels.split(' ').map(str::as_bytes), kind).map_err(told)?;
        let reply = self.step(page, |node, key| match token {
            Some(token) => node.fill(key, token, value, &labels),
            None => node.set(key, value, &labels),
        })?;
        anyhow::ensure!(reply == Reply::Ok, "a page was not stored: {reply:?}");
        Ok(())
    }

    fn step(&mut self, page: usize, decide: impl FnOnce(&mut Node, &mut Key) -> Step) -> Result<Reply> {
        self.expire(page);
        let (name, moment) = (Site::key(page), self.moment());
        let (held, mut entry, expires) = match self.keys.remove(&page) {
            Some((entry, expires)) => (Held::Entry, entry, expires),
            None => (Held::Nothing, Entry::vacant(), UnixMs::NEVER),
        };
        let was_there = held == Held::Entry;
        let mut key = Key {
            db: 0,
            name: name.as_bytes(),
            held,
            entry: &mut entry,
            expires,
            moment,
            is_paused: false,
            environment: &mut Server,
        };
        let step = decide(&mut self.node, &mut key);
        match step.becomes {
            Becomes::Same if was_there => drop(self.keys.insert(page, (entry, expires))),
            Becomes::Same => {}
            Becomes::Removed => self.log(&[b"CACHE.APPLY", name.as_bytes(), &codec::encode_removal()]),
            Becomes::Stored { value, expire_at } => {
                let header = codec::encode(&entry, value, Some(expire_at));
                let carried = entry.value().filter(|_| value == ValuePart::Carried);
                let words = [b"CACHE.APPLY".as_slice(), name.as_bytes(), &header];
                self.log(&words.into_iter().chain(carried.map(|value| &**value)).collect::<Vec<_>>());
                self.keys.insert(page, (entry, expire_at));
            }
        }
        self.carry_out(step.effects)?;
        Ok(step.reply)
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<()> {
        for effect in effects {
            if let Effect::Release { waiter, outcome, .. } = effect {
                self.released(waiter, &outcome)?;
            }
        }
        Ok(())
    }

    fn released(&mut self, waiter: WaiterId, outcome: &Outcome) -> Result<()> {
        self.account();
        let (since_us, page) = self.parked.remove(&waiter).context("somebody is answered who does not wait")?;
        match outcome {
            Outcome::Answer(answer) if answer.granted().is_some() => self.granted(page, answer.granted()),
            Outcome::Answer(answer) if answer.state() == State::Hit => {
                self.load.waits.push((self.now_us - since_us) as f64 / 1e6);
            }
            other => bail!("somebody who waited was told {other:?}"),
        }
        Ok(())
    }

    /// One turn of the module's timer.
    fn turn(&mut self) -> Result<()> {
        let moment = self.moment();
        let step = self.node.turn(moment, false);
        self.carry_out(step.effects)?;
        for _ in 0..VISITS {
            let Some((_, name)) = self.node.next_visit(moment) else { break };
            let page = std::str::from_utf8(&name)?.trim_start_matches("page:").parse()?;
            self.step(page, Node::visit)?;
        }
        self.node.begin_release(moment, None, true);
        while let Some((released, _)) = self.node.next_release(moment) {
            self.released(released.waiter, &released.outcome)?;
        }
        self.node.end_release(moment);
        // Turns are a millisecond apart.
        self.now_us += 1_000;
        Ok(())
    }

    fn due_us(&self) -> u64 {
        match self.node.next_due() {
            None => u64::MAX,
            Some(Due::Now) => self.now_us,
            Some(Due::At { wall, steady }) => {
                let wall = wall.and_then(UnixMs::get).map_or(u64::MAX, |ms| ms * 1000);
                wall.min(steady.map_or(u64::MAX, |at| at.0 * 1000))
            }
        }
    }

    /// The server removes what has ended before anybody sees it.
    fn expire(&mut self, page: usize) {
        if self.keys.get(&page).is_none_or(|(_, expires)| *expires > self.moment().now()) {
            return;
        }
        if let Some((entry, _)) = self.keys.remove(&page) {
            let (name, moment) = (Site::key(page), self.moment());
            self.log(&[b"DEL", name.as_bytes()]);
            let token = entry.lease().map(|lease| lease.token);
            self.node.event(Event::Unlinked { db: 0, name: Name::new(name.as_bytes()), token }, moment);
        }
    }

    /// A command in the append-only file.
    fn log(&mut self, words: &[&[u8]]) {
        self.load.log_bytes += crate::wire::command(words).len() as f64;
    }

    /// Those who wait have waited until now.
    fn account(&mut self) {
        self.load.parked_mean += (self.now_us - self.parked_until_us) as f64 * self.parked.len() as f64;
        self.parked_until_us = self.now_us;
    }

    /// Both clocks begin at the same number: only their differences count.
    const fn moment(&self) -> Moment {
        Moment { wall_us: self.now_us, steady_us: self.now_us }
    }
}

/// Everything is allowed.
struct Server;

impl Environment for Server {
    fn random(&mut self) -> f64 {
        0.5
    }

    fn writes(&mut self) -> Writes {
        Writes::Allowed
    }

    fn permits(&mut self, _waiter: WaiterId) -> bool {
        true
    }

    fn parking(&mut self, _waiters: u64, _percent: u64) -> Parking {
        Parking::Possible
    }
}

fn told(error: corral_core::error::Error) -> anyhow::Error {
    anyhow::anyhow!("{}", error.sentence())
}

const ASK: &str = "LEASE 10000 BLOCK 10000";
const LEASE_MAX_MS: u64 = 300_000;
const VISITS: usize = 50;
const BEGIN_US: u64 = 1_700_000_000_000_000;
