//! Everything at once: a hundred clients with commands of all kinds, on a master with a replica, while connections are
//! killed, the server is paused, reloaded and rewritten, its memory is full, its disk takes no snapshot, its replicas are
//! too few, its groups change all the time, and its process is killed. `make soak` does so for minutes.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use self::scene::Scene;
use self::visitor::Visitor;
use crate::harness::{eventually, picture, Client, Reply, Server};

mod groups;
mod own;
mod scene;
mod visitor;

const VISITORS: usize = 100;

/// What the memory of an emptied server may differ from that of a new one.
const MEMORY_SLACK: i64 = 512 << 10;

const BALLAST_KEYS: usize = 3000;
const BALLAST_BYTES: usize = 2000;
/// Room for less ballast than there is.
const ROOM_BYTES: i64 = 1 << 20;

#[test]
fn nothing_is_lost_or_left_hanging_or_leaked_in_twenty_seconds_of_everything() {
    soak(Duration::from_secs(20));
}

#[test]
#[ignore = "takes MINUTES, 10 unless told: make soak"]
fn nothing_is_lost_or_left_hanging_or_leaked_in_minutes_of_everything() {
    let minutes = std::env::var("MINUTES").map_or(10, |minutes| minutes.parse().expect("MINUTES is a number"));
    soak(Duration::from_secs(minutes * 60));
}

/// A seed of one's own is given by SEED.
fn soak(length: Duration) {
    let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("SEED is a number"));
    eprintln!("seed {seed}");
    // A histogram for every command that was ever used would look like a leak.
    // And Valkey writes what it evicts and expires into the AOF as UNLINK, which it could not read: unless it is told to
    // free on the spot.
    let no_histograms = ["--latency-tracking", "no", "--rename-command", "UNLINK", ""];
    let not_lazy =
        ["--lazyfree-lazy-eviction", "no", "--lazyfree-lazy-expire", "no", "--lazyfree-lazy-server-del", "no"];
    let common = [&no_histograms[..], &not_lazy].concat();
    let options = ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"];
    let mut master = Server::with(&[options.as_slice(), &common].concat());
    let replica = master.replica_with(&common);
    warm_up(&master);
    let start = [memory(&master), memory(&replica)];
    let scene = Scene::new(seed, VISITORS, master.port);
    std::thread::scope(|scope| {
        let _curtain = scene.curtain();
        for number in 0..VISITORS {
            let visitor = Visitor::new(&scene, number);
            let scene = &scene;
            scope.spawn(move || {
                let curtain = scene.curtain();
                visitor.visit();
                // The scene was ended by another already, or this visitor panicked and does not come here.
                std::mem::forget(curtain);
            });
        }
        scope.spawn(|| write_ballast(&scene));
        scope.spawn(|| {
            let curtain = scene.curtain();
            groups::change(&scene);
            std::mem::forget(curtain);
        });
        let chance = fastrand::Rng::with_seed(seed);
        let director = Director { scene: &scene, chance, start, served_by_this_process: 0, done: Done::default() };
        director.direct(&mut master, &replica, length);
    });
    scene.print();
    for log in [master.log(), replica.log()] {
        for sign in ["BUG REPORT", "crashed by signal", "ASSERTION", "panic caught", "panicked", "cannot be read"] {
            assert!(!log.contains(sign), "seed {seed}: the log says {sign}: {log}");
        }
    }
}

/// Strings that fill the memory, for as long as it is to be full.
fn write_ballast(scene: &Scene) {
    let (mut client, mut chance) = (None, fastrand::Rng::with_seed(scene.seed));
    let value = "b".repeat(BALLAST_BYTES);
    while !scene.is_over() {
        std::thread::sleep(Duration::from_millis(2));
        if !scene.is_full() || scene.rests() {
            client = None;
            continue;
        }
        if client.is_none() {
            client = Client::try_connect(scene.port()).ok();
        }
        for _ in 0..10 {
            let line = format!("SET ballast{} {value}", chance.usize(0..BALLAST_KEYS));
            if client.as_mut().is_some_and(|client| client.attempt(&line) == Reply::Closed) {
                client = None;
            }
        }
    }
}

/// Has the server make what it keeps for those who are parked: that is no leak.
fn warm_up(server: &Server) {
    let (mut holder, mut waiters) = (server.client(), server.clients(VISITORS));
    holder.ask("CACHE.GETORLOCK warm LEASE 60000").token();
    server.park_all(&mut waiters, "CACHE.GETORLOCK warm BLOCK 0");
    holder.run("CACHE.SET warm value");
    assert!(waiters.iter_mut().all(|waiter| waiter.read().triple().state == "HIT"));
    drop(waiters);
    holder.run("FLUSHALL");
    // The server gives back some of it, a little ten times a second.
    let mut before = i64::MAX;
    eventually("memory has settled", || {
        std::thread::sleep(Duration::from_millis(500));
        let now = memory(server);
        std::mem::replace(&mut before, now) == now
    });
}

/// Memory that the data and the module take, without what connections, the log and the link need for a while.
fn memory(server: &Server) -> i64 {
    let passing = ["mem_replication_backlog", "mem_clients_slaves", "mem_clients_normal", "mem_aof_buffer"];
    server.info("used_memory") - passing.map(|field| server.info(field)).iter().sum::<i64>()
}

struct Director<'a> {
    scene: &'a Scene,
    chance: fastrand::Rng,
    /// The memory of master and replica when they were new.
    start: [i64; 2],
    served_by_this_process: i64,
    done: Done,
}

#[derive(Default, Debug)]
struct Done {
    rounds: u32,
    restarts: u32,
    kills: u32,
    pauses: u32,
    rewrites: u32,
    reloads: u32,
    links_cut: u32,
    limits: u32,
    disks_full: u32,
    replicas_missed: u32,
    evicted_keys: i64,
    waiters_served: i64,
    keys_compared: usize,
}

impl Director<'_> {
    fn direct(mut self, master: &mut Server, replica: &Server, length: Duration) {
        // The same process is looked at twice: once soon after its start, once later.
        let round = (length / 4).min(Duration::from_secs(15));
        let started = Instant::now();
        while started.elapsed() < length {
            let round_ends = Instant::now() + round;
            // Rounds with and without a restart, both.
            self.scene.set_full(matches!(self.done.rounds % 4, 1 | 2));
            self.fill_memory(master);
            self.disturb_until(round_ends - round / 2, master);
            if self.done.rounds % 2 == 0 {
                self.count_served(master);
                assert_eq!(master.info("corral_panics_caught"), 0);
                master.restart();
                self.served_by_this_process = 0;
                self.scene.move_to(master.port);
                self.fill_memory(master);
                let port = master.port.to_string();
                // The same port again, unless somebody else was faster.
                replica.client().run(&format!("REPLICAOF 127.0.0.1 {port}"));
                self.done.restarts += 1;
            }
            self.disturb_until(round_ends, master);
            self.take_stock(master, replica);
            self.done.rounds += 1;
        }
        eprintln!("{:.0?}: {:?}", started.elapsed(), self.done);
    }

    /// Something unpleasant every now and then.
    fn disturb_until(&mut self, end: Instant, master: &Server) {
        let mut client = master.client();
        while Instant::now() < end && !self.scene.is_over() {
            std::thread::sleep(Duration::from_millis(self.chance.u64(20..300)));
            match self.chance.u32(0..100) {
                0..60 => {
                    let connection = &self.scene.connections[self.chance.usize(0..VISITORS)];
                    tell(master, &mut client, &format!("CLIENT KILL ID {}", connection.load(Ordering::Relaxed)));
                    self.done.kills += 1;
                }
                60..75 => {
                    let kind = if self.chance.bool() { "WRITE" } else { "ALL" };
                    let _quiet = self.scene.quiet.write().unwrap();
                    let pause = self.chance.u64(10..600);
                    tell(master, &mut client, &format!("CLIENT PAUSE {pause} {kind}"));
                    // No UNPAUSE: a pause of ALL holds back that, too.
                    std::thread::sleep(Duration::from_millis(pause + 50));
                    self.done.pauses += 1;
                }
                75..82 => {
                    let preamble = if self.chance.bool() { "yes" } else { "no" };
                    tell(master, &mut client, &format!("CONFIG SET aof-use-rdb-preamble {preamble}"));
                    tell(master, &mut client, "BGREWRITEAOF");
                    self.done.rewrites += 1;
                }
                82..87 => {
                    tell(master, &mut client, "DEBUG RELOAD");
                    self.done.reloads += 1;
                }
                87..90 => {
                    tell(master, &mut client, "CLIENT KILL TYPE replica");
                    self.done.links_cut += 1;
                }
                // Two limits, for a moment. Nothing is evicted.
                // Where nothing is evicted.
                90..93 if !self.scene.is_full() => self.limit(master, &mut client, "maxmemory", 1, 0),
                90..95 => self.limit(master, &mut client, "corral.max-waiters", 5, 10_000),
                95..97 => {
                    // Two replicas are wanted, and there is one.
                    self.limit(master, &mut client, "min-replicas-to-write", 2, 0);
                    self.done.replicas_missed += 1;
                }
                97.. => self.refuse_snapshots(master),
            }
        }
    }

    /// From now on there is little more memory than is used, if that is how it is to be.
    fn fill_memory(&mut self, master: &Server) {
        let limit = if self.scene.is_full() { master.info("used_memory") + ROOM_BYTES } else { 0 };
        let mut client = master.client();
        tell(master, &mut client, "CONFIG SET corral.waiters-memory-percent 20");
        let policy = if self.scene.is_full() { "allkeys-lru" } else { "noeviction" };
        tell(master, &mut client, &format!("CONFIG SET maxmemory-policy {policy}"));
        tell(master, &mut client, &format!("CONFIG SET maxmemory {limit}"));
    }

    /// The disk takes no snapshot for a moment: a directory lies where it belongs.
    fn refuse_snapshots(&mut self, master: &Server) {
        // Nobody strikes this connection down meanwhile.
        let _quiet = self.scene.quiet.write().unwrap();
        let mut client = master.client();
        let file = PathBuf::from(client.run("CONFIG GET dir").list()[1].text()).join("dump.rdb");
        if file.is_file() {
            std::fs::remove_file(&file).unwrap();
        }
        std::fs::create_dir_all(file.join("occupied")).unwrap();
        // As often as not it is told in time that this snapshot has failed.
        client.call(&[b"CONFIG", b"SET", b"save", b"3600 1"]);
        client.run("BGSAVE");
        std::thread::sleep(Duration::from_millis(self.chance.u64(100..800)));
        let refuses = !client.run("SET ballast0 full").is_ok();
        self.done.disks_full += u32::from(refuses);
        client.call(&[b"CONFIG", b"SET", b"save", b""]);
        std::fs::remove_dir_all(&file).unwrap();
    }

    fn limit(&mut self, master: &Server, client: &mut Client, setting: &str, narrow: u32, usual: u32) {
        let _quiet = self.scene.quiet.write().unwrap();
        tell(master, client, &format!("CONFIG SET {setting} {narrow}"));
        std::thread::sleep(Duration::from_millis(self.chance.u64(10..300)));
        tell(master, client, &format!("CONFIG SET {setting} {usual}"));
        self.done.limits += 1;
    }

    /// Sends everybody home and looks at what is left.
    fn take_stock(&mut self, master: &Server, replica: &Server) {
        let seed = self.scene.seed;
        self.scene.rest(true);
        eventually("everybody is home", || {
            self.scene.resting.load(Ordering::SeqCst) == VISITORS || self.scene.is_over()
        });
        assert!(!self.scene.is_over(), "a visitor failed, see above");
        eventually("nobody waits", || master.info("corral_waiters") == 0 && master.info("blocked_clients") == 0);
        assert_eq!([master, replica].map(|server| server.info("corral_panics_caught")), [0, 0], "seed {seed}");

        self.count_served(master);
        self.done.evicted_keys += master.info("evicted_keys");
        tell(master, &mut master.client(), "CONFIG SET maxmemory 0");
        self.done.keys_compared += self.compare(master, replica);

        assert!(master.client().run("FLUSHALL").is_ok());
        replica.catch_up_with(master);
        let mut left = [0, 0];
        eventually("memory returns", || {
            left = [memory(master) - self.start[0], memory(replica) - self.start[1]];
            left.iter().all(|left| *left < MEMORY_SLACK)
        });
        assert_eq!([master, replica].map(|server| server.info("corral_live_leases")), [0, 0], "seed {seed}");
        // Leases that FLUSHALL voided keep their permits until their deadlines.
        eventually("no permit is out and nobody queues", || {
            let said = master.client().run("INFO corral").text();
            let groups = said.lines().filter(|line| line.starts_with("corral_group_"));
            groups.into_iter().all(|line| line.contains(":live=0,permits=0,queued=0,"))
        });
        eprintln!("round {}: emptied, master and replica hold {left:?} bytes more than when new", self.done.rounds);
        self.scene.rest(false);
        eventually("everybody is back", || self.scene.resting.load(Ordering::SeqCst) == 0 || self.scene.is_over());
    }

    fn count_served(&mut self, master: &Server) {
        let served = master.info("corral_waiters_served");
        self.done.waiters_served += served - self.served_by_this_process;
        self.served_by_this_process = served;
    }

    /// Every key of every database has the same digest and deadline on both sides. Says how many there are.
    fn compare(&self, master: &Server, replica: &Server) -> usize {
        let (mut ours, mut theirs) = (master.client(), replica.client());
        let mut pictures = Vec::new();
        eventually("both sides hold the same", || {
            replica.catch_up_with(master);
            pictures = [&mut ours, &mut theirs].map(whole_picture).to_vec();
            let same = pictures[0] == pictures[1];
            if !same {
                // What expired between the two looks.
                std::thread::sleep(Duration::from_millis(100));
            }
            same
        });
        pictures[0].len()
    }
}

/// Runs one command, though somebody's errand may be to kill this very connection.
fn tell(server: &Server, client: &mut Client, line: &str) {
    while client.attempt(line) == Reply::Closed {
        *client = server.client();
    }
}

fn whole_picture(client: &mut Client) -> Vec<String> {
    let mut all = Vec::new();
    for db in 0..3 {
        client.run(&format!("SELECT {db}"));
        all.extend(picture(client).into_iter().map(|key| format!("{db} {key}")));
    }
    all
}
