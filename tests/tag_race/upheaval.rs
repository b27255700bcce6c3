//! The race beside kills, failovers and slots that move. What counts as invalidated is what its caller may rely on: after
//! an answer where every write is on disk, after WAIT 1 where a replica may take over, after the answers of all masters in
//! a cluster.

use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use super::{tags_of, Race, KEYS, TAGS};
use crate::harness::{eventually, slot_of, Client, Cluster, Reply, Server};

/// Where the servers are, for everybody who calls.
struct Stage {
    race: Race,
    ports: Vec<AtomicU16>,
    /// Which of them has the keys.
    owner: AtomicUsize,
    /// What all keys begin with.
    prefix: String,
    /// What is sent after an invalidation and must answer 1.
    witness: Option<&'static str>,
    upheavals: AtomicU64,
}

/// Somebody with a connection to each server, made anew where it was lost.
struct Caller<'a> {
    stage: &'a Stage,
    open: Vec<Option<(u16, Client)>>,
}

/// How long one builds, and how long the one who invalidates rests.
const BUILD: Duration = Duration::from_millis(30);
const PAUSE: Duration = Duration::from_millis(10);
const BUILDERS: usize = 8;

impl Stage {
    fn new(ports: &[u16], prefix: &str, witness: Option<&'static str>) -> Self {
        Self {
            race: Race::new(),
            ports: ports.iter().map(|port| AtomicU16::new(*port)).collect(),
            owner: AtomicUsize::new(0),
            prefix: prefix.to_owned(),
            witness,
            upheavals: AtomicU64::new(0),
        }
    }

    fn caller(&self) -> Caller<'_> {
        Caller { stage: self, open: self.ports.iter().map(|_| None).collect() }
    }

    fn key(&self, key: usize) -> String {
        format!("{}page{key}", self.prefix)
    }

    /// Has everybody call while `upheave` goes on, until there were enough answers and upheavals, and builds of all kinds.
    fn run(&self, answers: u64, upheavals: u64, mut upheave: impl FnMut()) {
        let race = &self.race;
        std::thread::scope(|scope| {
            let mut threads = vec![scope.spawn(|| self.invalidate()), scope.spawn(|| self.read())];
            threads.extend((0..BUILDERS).map(|number| scope.spawn(move || self.build(number * 3))));
            let enough = || {
                let counted = [&race.answers, &self.upheavals].map(|counter| counter.load(SeqCst));
                let some = [&race.fresh, &race.stored, &race.void].map(|counter| counter.load(SeqCst) > 0);
                counted[0] >= answers && counted[1] >= upheavals && some == [true; 3]
            };
            while !enough() && !threads.iter().any(|thread| thread.is_finished()) {
                std::thread::sleep(Duration::from_millis(fastrand::u64(100..400)));
                upheave();
                self.upheavals.fetch_add(1, SeqCst);
                // Between two of them something is invalidated, built and read.
                let before = [&race.fresh, &race.stored].map(|counter| counter.load(SeqCst));
                eventually("life goes on", || {
                    let now = [&race.fresh, &race.stored].map(|counter| counter.load(SeqCst));
                    (now[0] > before[0] && now[1] > before[1]) || threads.iter().any(|thread| thread.is_finished())
                });
            }
            race.over.store(true, SeqCst);
        });
        race.report();
        eprintln!("{} upheavals meanwhile", self.upheavals.load(SeqCst));
    }

    fn invalidate(&self) {
        let mut caller = self.caller();
        while !self.race.over.load(SeqCst) {
            std::thread::sleep(PAUSE);
            let tag = fastrand::usize(..TAGS);
            let now = self.race.source[tag].fetch_add(1, SeqCst) + 1;
            let line = format!("CACHE.INVALIDATETAG 1 tag{tag}");
            let everywhere = (0..self.ports.len()).all(|node| {
                let done = caller.tell(node, &line).is_ok();
                done && self.witness.is_none_or(|witness| caller.tell(node, witness) == Reply::Number(1))
            });
            if everywhere {
                self.race.invalidated[tag].store(now, SeqCst);
                self.race.invalidations.fetch_add(1, SeqCst);
            }
        }
    }

    fn build(&self, mut key: usize) {
        let mut caller = self.caller();
        while !self.race.over.load(SeqCst) {
            key = (key + 1) % KEYS;
            let (name, known) = (self.key(key), self.race.known());
            let reply = caller.ask(&format!("CACHE.GETORLOCK {name} LEASE 1500 BLOCK 300"));
            let Reply::List(_) = &reply else { continue };
            let answer = reply.triple();
            self.race.judge(key, &answer, &known);
            if !matches!(answer.state.as_str(), "LOCK" | "REFRESH") {
                continue;
            }
            let (first, second) = tags_of(key);
            let value = [first, second].map(|tag| self.race.source[tag].load(SeqCst).to_string()).join(",");
            std::thread::sleep(BUILD);
            let token = answer.token();
            let line = format!("CACHE.FILL {name} {token} {value} PX 3600000 SWR 1000 TAGS 2 tag{first} tag{second}");
            match caller.ask(&line) {
                Reply::Nil => self.race.void.fetch_add(1, SeqCst),
                reply if reply.is_ok() => self.race.stored.fetch_add(1, SeqCst),
                // Nobody knows.
                _ => 0,
            };
        }
    }

    /// Every key at once; one by one where they are on their way.
    fn read(&self) {
        let mut caller = self.caller();
        let all: Vec<String> = (0..KEYS).map(|key| self.key(key)).collect();
        let line = format!("CACHE.MGET {}", all.join(" "));
        while !self.race.over.load(SeqCst) {
            let known = self.race.known();
            match caller.ask(&line) {
                Reply::List(answers) => {
                    for (key, answer) in answers.iter().enumerate() {
                        self.race.judge(key, &answer.triple(), &known);
                    }
                }
                _ => {
                    for (key, name) in all.iter().enumerate() {
                        let reply = caller.ask(&format!("CACHE.GET {name}"));
                        if let Reply::List(_) = reply {
                            self.race.judge(key, &reply.triple(), &known);
                        }
                    }
                }
            }
        }
    }
}

impl Caller<'_> {
    /// Sends it to whoever has the keys, and goes where it is sent.
    fn ask(&mut self, line: &str) -> Reply {
        let node = self.stage.owner.load(SeqCst);
        let reply = self.tell(node, line);
        let Reply::Error(sentence) = &reply else { return reply };
        let asks = sentence.starts_with("ASK ");
        if !asks && !sentence.starts_with("MOVED ") {
            return reply;
        }
        let port = sentence.rsplit(':').next().and_then(|port| port.parse().ok());
        let ports = self.stage.ports.iter().map(|port| port.load(SeqCst));
        let Some(other) = port.and_then(|port: u16| ports.into_iter().position(|known| known == port)) else {
            panic!("sent to nobody we know: {sentence}");
        };
        if asks {
            self.tell(other, "ASKING");
        } else {
            self.stage.owner.store(other, SeqCst);
        }
        self.tell(other, line)
    }

    fn tell(&mut self, node: usize, line: &str) -> Reply {
        let port = self.stage.ports[node].load(SeqCst);
        let open = &mut self.open[node];
        if open.as_ref().is_none_or(|(known, _)| *known != port) {
            *open = Client::try_connect(port).ok().map(|client| (port, client));
        }
        let Some((_, client)) = open else {
            std::thread::sleep(Duration::from_millis(5));
            return Reply::Closed;
        };
        let reply = client.attempt(line);
        if reply == Reply::Closed {
            *open = None;
        }
        reply
    }
}

fn beside_kills(answers: u64, kills: u64) {
    let mut server = Server::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    let stage = Stage::new(&[server.port], "", None);
    stage.run(answers, kills, || {
        server.restart();
        stage.ports[0].store(server.port, SeqCst);
    });
    assert_eq!(server.info("corral_panics_caught"), 0);
}

fn beside_failovers(answers: u64, failovers: u64) {
    let mut master = Server::start();
    let mut replica = master.replica();
    let stage = Stage::new(&[master.port], "", Some("WAIT 1 200"));
    stage.run(answers, failovers, || {
        let counted = stage.race.invalidations.load(SeqCst);
        eventually("a replica has heard of an invalidation", || {
            stage.race.invalidations.load(SeqCst) > counted || stage.race.over.load(SeqCst)
        });
        master.kill();
        assert!(replica.client().run("REPLICAOF NO ONE").is_ok());
        stage.ports[0].store(replica.port, SeqCst);
        let next = replica.replica();
        master = std::mem::replace(&mut replica, next);
    });
    assert_eq!(master.info("corral_panics_caught"), 0);
}

fn beside_migrations(answers: u64, migrations: u64) {
    let cluster = Cluster::patient(3, 0);
    let tag = cluster.key_at(0);
    let ports: Vec<u16> = cluster.nodes.iter().map(|node| node.port).collect();
    let stage = Stage::new(&ports, &format!("{{{tag}}}"), None);
    let offered =
        cluster.client(0).run("CLUSTER HELP").list().iter().any(|line| line.text().starts_with("MIGRATESLOTS"));
    let mut from = 0;
    stage.run(answers, migrations, || {
        let to = 1 - from;
        if offered {
            let slot = slot_of(&tag);
            let call = format!("CLUSTER MIGRATESLOTS SLOTSRANGE {slot} {slot} NODE {}", cluster.id(to));
            let reply = cluster.client(from).run(&call);
            assert!(reply.is_ok(), "{reply:?}");
        } else {
            migrate(&cluster, &tag, from, to);
        }
        cluster.agree_on(&tag, to, &[0, 1, 2]);
        from = to;
    });
    for node in &cluster.nodes {
        assert_eq!(node.info("corral_panics_caught"), 0);
    }
}

/// Key by key, as `redis-cli --cluster reshard` does.
fn migrate(cluster: &Cluster, tag: &str, from: usize, to: usize) {
    let slot = slot_of(tag);
    let (mut source, mut target) = (cluster.client(from), cluster.client(to));
    assert!(target.run(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", cluster.id(from))).is_ok());
    assert!(source.run(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", cluster.id(to))).is_ok());
    loop {
        let keys = source.run(&format!("CLUSTER GETKEYSINSLOT {slot} 5"));
        let keys: Vec<String> = keys.list().iter().map(Reply::text).collect();
        if keys.is_empty() {
            break;
        }
        let port = cluster.nodes[to].port;
        let line = format!("MIGRATE 127.0.0.1 {port}  0 20000 KEYS {}", keys.join(" "));
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let reply = source.call(&words);
        assert!(matches!(reply, Reply::Word(_)), "{reply:?}");
    }
    for node in [to, from, 2] {
        assert!(cluster.client(node).run(&format!("CLUSTER SETSLOT {slot} NODE {}", cluster.id(to))).is_ok());
    }
}

#[test]
fn no_fresh_answer_is_older_than_an_invalidation_while_the_server_is_killed() {
    beside_kills(3000, 3);
}

#[test]
fn no_fresh_answer_is_older_than_an_invalidation_that_a_replica_heard_of_when_that_takes_over() {
    beside_failovers(3000, 3);
}

#[test]
fn no_fresh_answer_is_older_than_an_invalidation_while_the_slot_moves() {
    beside_migrations(3000, 3);
}

#[test]
#[ignore = "takes minutes"]
fn no_fresh_answer_in_a_million_is_older_than_an_invalidation_beside_kills_failovers_and_slots_that_move() {
    beside_kills(400_000, 20);
    beside_failovers(400_000, 20);
    beside_migrations(200_000, 20);
}
