//! When the server holds its writes back: CLIENT PAUSE, FAILOVER, SHUTDOWN. Deadlines and limits pass meanwhile, a
//! handover would be a write, and a write would end the server. Everybody is answered once, or sees the connection end.

use std::time::{Duration, Instant};

use crate::harness::{eventually, Client, Reply, Server};

/// Every effect is written to the AOF, too: holding back is about both.
const AOF: [&str; 8] =
    ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--repl-diskless-sync-delay", "0"];

/// Keys whose leases end during a pause, each in a way of its own.
const ENDS: [&str; 3] = ["deadline", "tied", "many"];

/// Waiters on "many".
const MANY: usize = 40;

/// What is parked before a pause.
struct Scene {
    /// One on "deadline", one on "tied", then those on "many".
    patient: Vec<Client>,
    /// With a limit that passes during the pause.
    hasty: Vec<Client>,
    tied_holder: Client,
    tokens: Vec<i64>,
    begun: Instant,
    lease: Duration,
}

impl Scene {
    fn set(server: &Server, lease_ms: u64) -> Self {
        let (mut holder, mut tied_holder) = (server.client(), server.client());
        assert!(holder.run("CACHE.SET fresh html").is_ok());
        let begun = Instant::now();
        let tokens = ENDS
            .map(|key| match key {
                "tied" => tied_holder.ask("CACHE.GETORLOCK tied TIED LEASE 290000").token(),
                key => holder.ask(&format!("CACHE.GETORLOCK {key} LEASE {lease_ms}")).token(),
            })
            .to_vec();
        let (mut patient, mut hasty) = (server.clients(2 + MANY), server.clients(ENDS.len()));
        for (index, waiter) in patient.iter_mut().enumerate() {
            waiter.send(&format!("CACHE.GETORLOCK {} BLOCK 0 LEASE 250000", ENDS[index.min(2)]));
        }
        for (waiter, key) in hasty.iter_mut().zip(ENDS) {
            waiter.send(&format!("CACHE.GETORLOCK {key} BLOCK {lease_ms}"));
        }
        let all = (patient.len() + hasty.len()) as i64;
        eventually("everybody is parked", || server.info("corral_waiters") == all);
        Self { patient, hasty, tied_holder, tokens, begun, lease: Duration::from_millis(lease_ms) }
    }

    /// Whether the pause began too late to be a test: something has ended already. On a busy machine.
    fn is_late(&self) -> bool {
        self.patient.iter().chain(&self.hasty).any(Client::has_reply)
    }

    /// Lets deadlines and limits pass: who has a limit is told WAIT, nobody is granted anything, and hits are served.
    /// Returns the waiters.
    fn pass(mut self, server: &Server) -> Vec<Client> {
        let mut reader = server.client();
        for ask in ["CACHE.GETORLOCK fresh BLOCK 0", "CACHE.GET fresh"] {
            assert!(reader.ask(ask).is("HIT", Some("html")));
        }
        assert!(reader.ask("CACHE.GETORLOCK new").is("WAIT", None), "nothing can be granted");
        self.tied_holder.hang_up();
        for waiter in &mut self.hasty {
            assert!(waiter.read().triple().is("WAIT", None));
        }
        std::thread::sleep((self.lease + Duration::from_millis(200)).saturating_sub(self.begun.elapsed()));
        for (index, waiter) in self.patient.iter().enumerate() {
            assert!(!waiter.has_reply(), "waiter {index} was promoted during the pause");
        }
        self.patient
    }
}

/// After the pause: one promotion per key, and the rest wait for that rebuild.
fn assert_handed_over(server: &mut Server, waiters: &mut [Client], keys: &[&str], tokens: &[i64]) {
    let mut client = server.client();
    for (waiter, (key, old)) in waiters.iter_mut().zip(keys.iter().zip(tokens)) {
        let lock = waiter.read().triple();
        assert!(lock.is("LOCK", None) && lock.token() > *old, "{key}: {lock:?} after {old}");
        assert!(client.run(&format!("CACHE.FILL {key} {old} late")).is_nil(), "{key}");
        assert!(waiter.run(&format!("CACHE.FILL {key} {} html", lock.token())).is_ok(), "{key}");
    }
    for waiter in &mut waiters[keys.len()..] {
        assert!(waiter.read().triple().is("HIT", Some("html")));
    }
    for waiter in waiters {
        assert_eq!(waiter.run("PING").text(), "PONG", "no second answer");
    }
    assert!(server.is_alive());
    for field in ["corral_waiters", "corral_panics_caught", "blocked_clients"] {
        assert_eq!(server.info(field), 0, "{field}");
    }
}

/// Sets scenes until one is still whole when the pause has begun.
fn pause_in_time(server: &Server, mut pause: impl FnMut(), mut resume: impl FnMut()) -> Scene {
    for lease_ms in [700, 3000, 12_000] {
        let scene = Scene::set(server, lease_ms);
        pause();
        if !scene.is_late() {
            return scene;
        }
        resume();
        drop(scene);
        eventually("the parked are gone", || server.info("corral_waiters") == 0);
        assert!(server.client().run("FLUSHALL").is_ok());
    }
    panic!("the machine is too busy to pause in time");
}

#[test]
fn a_pause_of_writes_holds_handovers_back_until_it_ends() {
    let mut server = Server::with(&AOF);
    let (mut pausing, mut resuming) = (server.client(), server.client());
    let scene = pause_in_time(
        &server,
        || assert!(pausing.run("CLIENT PAUSE 60000 WRITE").is_ok()),
        || assert!(resuming.run("CLIENT UNPAUSE").is_ok()),
    );
    let tokens = scene.tokens.clone();
    let mut waiters = scene.pass(&server);
    // A write of a client's own waits as well, and finds the lease handed over.
    let mut late = server.client();
    late.send(&format!("CACHE.FILL deadline {} late", tokens[0]));
    assert!(resuming.run("CLIENT UNPAUSE").is_ok());
    let reply = late.read();
    if reply.is_ok() {
        // It came before the scheduler: then it is what the waiter gets, and the other keys are handed over.
        assert!(waiters.remove(0).read().triple().is("HIT", Some("late")));
        assert_handed_over(&mut server, &mut waiters, &ENDS[1..], &tokens[1..]);
        return;
    }
    assert!(reply.is_nil(), "{reply:?}");
    assert_handed_over(&mut server, &mut waiters, &ENDS, &tokens);
}

#[test]
fn a_pause_of_everything_does_too() {
    const PAUSE: Duration = Duration::from_millis(2500);
    let mut server = Server::with(&AOF);
    let mut operator = server.client();
    let scene = Scene::set(&server, 1200);
    let paused = Instant::now();
    assert!(operator.run(&format!("CLIENT PAUSE {} ALL", PAUSE.as_millis())).is_ok());
    let is_late = scene.is_late();
    let (tokens, begun, lease) = (scene.tokens.clone(), scene.begun, scene.lease);
    let Scene { mut patient, mut hasty, tied_holder, .. } = scene;
    tied_holder.hang_up();
    for waiter in &mut hasty {
        assert!(waiter.read().triple().is("WAIT", None));
    }
    std::thread::sleep((lease + Duration::from_millis(200)).saturating_sub(begun.elapsed()));
    // On a busy machine, either end of the pause can be missed.
    let early = patient.iter().filter(|waiter| waiter.has_reply()).count();
    if !is_late && paused.elapsed() < PAUSE {
        assert_eq!(early, 0, "promoted during the pause");
    }
    assert_handed_over(&mut server, &mut patient, &ENDS, &tokens);
}

#[test]
fn a_failover_in_progress_holds_handovers_back_until_it_is_aborted() {
    let mut master = Server::with(&AOF);
    let replica = master.replica();
    let (mut pausing, mut resuming) = (master.client(), master.client());
    master.knows_its_replica();
    replica.freeze();
    let failover = format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 120000", replica.port);
    let scene = pause_in_time(
        &master,
        || {
            let reply = pausing.run(&failover);
            assert!(reply.is_ok(), "{reply:?}");
        },
        || assert!(resuming.run("FAILOVER ABORT").is_ok()),
    );
    assert!(pausing.run("INFO replication").text().contains("master_failover_state:waiting-for-sync"));
    let tokens = scene.tokens.clone();
    let mut waiters = scene.pass(&master);
    assert!(resuming.run("FAILOVER ABORT").is_ok());
    assert_handed_over(&mut master, &mut waiters, &ENDS, &tokens);
    replica.thaw();
    replica.catch_up_with(&master);
    assert!(replica.client().ask("CACHE.GET many").is("HIT", Some("html")));
}

#[test]
fn a_shutdown_that_waits_for_a_replica_holds_handovers_back_until_it_is_aborted() {
    let mut master = Server::with(&[&AOF[..], &["--shutdown-timeout", "300"]].concat());
    let replica = master.replica();
    master.knows_its_replica();
    replica.freeze();
    let mut aborting = master.client();
    let mut stopping = None;
    let scene = pause_in_time(
        &master,
        || stopping = Some(begin_shutdown(&master)),
        || assert!(master.client().run("SHUTDOWN ABORT").is_ok()),
    );
    let tokens = scene.tokens.clone();
    let mut waiters = scene.pass(&master);
    assert!(aborting.run("SHUTDOWN ABORT").is_ok());
    let told = stopping.take().unwrap().read();
    assert!(told.error().starts_with("ERR "), "{told:?}");
    assert_handed_over(&mut master, &mut waiters, &ENDS, &tokens);
    replica.thaw();
    replica.catch_up_with(&master);
    assert!(replica.client().ask("CACHE.GET many").is("HIT", Some("html")));
}

#[test]
fn a_shutdown_ends_every_wait_and_the_replica_goes_on() {
    let mut master = Server::with(&[&AOF[..], &["--shutdown-timeout", "300"]].concat());
    let replica = master.replica();
    let mut holder = master.client();
    let token = holder.ask("CACHE.GETORLOCK page LEASE 290000").token();
    replica.catch_up_with(&master);
    master.knows_its_replica();
    replica.freeze();
    let lagging = holder.ask("CACHE.GETORLOCK lagging LEASE 290000").token();
    let mut waiters = master.clients(MANY);
    master.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
    let mut expiring = master.clients(MANY);
    holder.ask("CACHE.GETORLOCK short LEASE 400");
    expiring.iter_mut().for_each(|waiter| waiter.send("CACHE.GETORLOCK short BLOCK 0 LEASE 50"));
    let _stopping = begin_shutdown(&master);
    std::thread::sleep(Duration::from_millis(700));
    assert!(master.is_alive(), "it waits for its replica");
    assert!(waiters.iter().all(|waiter| !waiter.has_reply()));
    replica.thaw();
    for waiter in &mut waiters {
        assert_eq!(waiter.read(), Reply::Closed);
    }
    for waiter in &mut expiring {
        // Granted before the shutdown began, or not at all.
        let told = waiter.read();
        assert!(told == Reply::Closed || told.triple().is("LOCK", None), "{told:?}");
    }
    eventually("the server has ended", || !master.is_alive());
    assert!(master.log().contains("bye bye"), "{}", master.log());
    // Its last writes arrived: this is what it waited for.
    let mut client = replica.client();
    assert!(client.run("REPLICAOF NO ONE").is_ok());
    for (key, token) in [("page", token), ("lagging", lagging)] {
        assert!(client.run(&format!("CACHE.FILL {key} {token} html")).is_ok(), "{key}");
    }
    master.restart();
    let mut client = master.client();
    assert!(client.run(&format!("CACHE.FILL page {token} html")).is_ok(), "the AOF has the lease");
}

/// Asks the server to end, and waits until it waits.
fn begin_shutdown(server: &Server) -> Client {
    let mut client = server.client();
    client.send("SHUTDOWN");
    eventually("the shutdown is under way", || server.info("shutdown_in_milliseconds") > 0);
    client
}
