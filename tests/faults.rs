//! A panic in every function that the server calls: the server lives, nobody is left without an answer, INFO counts it.
//!
//! These need the module built with the feature `faults`: `make test-faults`.

use crate::harness::payload::dump;
use crate::harness::{eventually, Client, Reply, Server};

/// A server, the connection that asks for faults, and how many were caught so far.
struct Stage {
    server: Server,
    operator: Client,
    caught: i64,
}

impl Stage {
    fn set() -> Self {
        Self::of(Server::start())
    }

    fn of(server: Server) -> Self {
        let operator = server.client();
        Self { server, operator, caught: 0 }
    }

    /// The next call of `place` panics.
    fn arm(&mut self, place: &str) {
        assert!(self.operator.run(&format!("CACHE.FAULT {place}")).is_ok());
    }

    /// Waits until the fault was met, and sees that the server is none the worse.
    fn survives(&mut self, place: &str) {
        self.caught += 1;
        let caught = self.caught;
        eventually(&format!("the panic in {place} is caught"), || self.server.info("corral_panics_caught") >= caught);
        assert_eq!(self.server.info("corral_panics_caught"), caught, "{place}");
        assert!(self.server.log().contains(&format!("panic caught in {place}")), "{}", self.server.log());
        assert_eq!(self.operator.run("PING").text(), "PONG");
        eventually("nobody is parked", || self.server.info("blocked_clients") == 0);
        // Still a cache.
        let mut client = self.server.client();
        client.run("DEL after");
        let token = client.ask("CACHE.GETORLOCK after").token();
        let mut waiter = self.server.client();
        self.server.park(&mut waiter, "CACHE.GETORLOCK after BLOCK 0");
        assert!(client.run(&format!("CACHE.FILL after {token} value PX 60000")).is_ok());
        assert!(waiter.read().triple().is("HIT", Some("value")));
    }
}

const INTERNAL: &str = "ERR internal error in Corral";

fn is_internal(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(sentence) if sentence.starts_with(INTERNAL))
}

/// One call of each, and what it takes for the call to be worth something.
const CALLS: [&str; 20] = [
    "CACHE.GETORLOCK key BLOCK 0",
    "CACHE.MGETORLOCK 2 key other",
    "CACHE.FILL key 1 value",
    "CACHE.SET key value",
    "CACHE.GET key",
    "CACHE.RENEW key 1 10",
    "CACHE.RELEASE key 1",
    "CACHE.FAIL key 1 down",
    "CACHE.PASS key 1",
    "CACHE.TOUCH key 1",
    "CACHE.INVALIDATE key",
    "CACHE.INFO key",
    "CACHE.LEASES",
    "CACHE.MGET key other",
    "CACHE.OUTDATE key 1",
    "CACHE.INVALIDATETAG 1 tag",
    "CACHE.TAGS tag",
    "CACHE.TOP",
    "CACHE.VERSION",
    "CACHE.APPLY key header",
];

#[test]
#[ignore = "needs the feature faults: make test-faults"]
fn every_command_answers_with_an_error_and_its_connection_goes_on() {
    let mut stage = Stage::set();
    let mut client = stage.server.client();
    for call in CALLS {
        stage.arm("handle");
        let reply = client.run(call);
        // Valkey 9 asks this one for its keys before it runs it: then the panic is there, and the call as ever.
        let was_asked_for_keys = call.starts_with("CACHE.MGETORLOCK") && matches!(reply, Reply::List(_));
        assert!(is_internal(&reply) || was_asked_for_keys, "{call}: {reply:?}");
        assert_eq!(client.run("PING").text(), "PONG", "{call}: one reply, not two");
        stage.survives("handle");
    }
}

/// The module's memory, taken over from a panic that held it, at each place where a command uses it.
#[test]
#[ignore = "needs the feature faults: make test-faults"]
fn a_panic_that_holds_the_modules_memory_leaves_nobody_waiting() {
    let mut stage = Stage::set();
    let mut holder = stage.server.client();
    let mut met = 0;
    for passes in 0..40 {
        holder.run("DEL page");
        let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
        let mut waiters = stage.server.clients(3);
        stage.server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
        assert!(stage.operator.run(&format!("CACHE.FAULT state PASSES {passes}")).is_ok());
        holder.run(&format!("CACHE.FILL page {token} value PX 60000"));
        for waiter in &mut waiters {
            let reply = waiter.read();
            assert!(is_internal(&reply) || reply.triple().is("HIT", Some("value")), "{passes}: {reply:?}");
        }
        assert!(stage.operator.run("CACHE.FAULT none").is_ok());
        eventually("nobody is parked", || stage.server.info("blocked_clients") == 0);
        met = stage.server.info("corral_panics_caught");
    }
    eprintln!("{met} panics met");
    assert!(met >= 5, "{met}");
    stage.caught = met;
    stage.arm("handle");
    assert!(is_internal(&holder.run("CACHE.GET page")));
    stage.survives("handle");
}

#[test]
#[ignore = "needs the feature faults: make test-faults"]
fn whoever_waits_when_a_command_panics_is_answered() {
    let mut stage = Stage::set();
    let mut holder = stage.server.client();
    holder.ask("CACHE.GETORLOCK page LEASE 60000");
    let mut waiters = stage.server.clients(20);
    stage.server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
    stage.arm("handle");
    assert!(is_internal(&holder.run("CACHE.GET page")));
    for waiter in &mut waiters {
        assert!(is_internal(&waiter.read()));
    }
    stage.survives("handle");
}

#[test]
#[ignore = "needs the feature faults: make test-faults"]
fn a_timer_that_panics_is_set_again() {
    let mut stage = Stage::set();
    let mut holder = stage.server.client();
    holder.ask("CACHE.GETORLOCK page LEASE 100");
    let mut waiters = stage.server.clients(3);
    stage.server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
    stage.arm("timer");
    for waiter in &mut waiters {
        assert!(is_internal(&waiter.read()));
    }
    stage.survives("timer");

    // Even if it panics again and again, and its recovery with it.
    holder.ask("CACHE.GETORLOCK late LEASE 50");
    let mut waiter = stage.server.client();
    stage.server.park(&mut waiter, "CACHE.GETORLOCK late BLOCK 0");
    assert!(stage.operator.run("CACHE.FAULT timer STRIKES 10").is_ok());
    assert!(is_internal(&waiter.read()));
    stage.caught += 9;
    stage.survives("timer");
}

#[test]
#[ignore = "needs the feature faults: make test-faults"]
fn a_client_whose_answer_panics_gets_an_error_and_its_grant_is_handed_on() {
    let mut stage = Stage::set();
    let mut holder = stage.server.client();
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    let mut waiters = stage.server.clients(5);
    stage.server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
    stage.arm("deliver");
    assert!(holder.run(&format!("CACHE.FILL page {token} value PX 60000")).is_ok());
    let replies: Vec<Reply> = waiters.iter_mut().map(Client::read).collect();
    assert_eq!(replies.iter().filter(|reply| is_internal(reply)).count(), 1, "{replies:?}");
    stage.survives("deliver");

    let token = holder.ask("CACHE.GETORLOCK grant LEASE 60000").token();
    let mut first = stage.server.client();
    stage.server.park(&mut first, "CACHE.GETORLOCK grant BLOCK 0 LEASE 60000");
    stage.arm("deliver");
    assert_eq!(holder.run(&format!("CACHE.RELEASE grant {token}")).number(), 1);
    assert!(is_internal(&first.read()));
    stage.survives("deliver");
    // Nobody holds the lease that could not be delivered.
    assert_eq!(holder.until("CACHE.GET grant", "MISS").state, "MISS");
    eventually("the lease is free", || holder.ask("CACHE.GET grant").number == 0);
}

#[test]
#[ignore = "needs the feature faults: make test-faults"]
fn what_a_panic_keeps_from_being_put_away_harms_nobody() {
    let mut stage = Stage::set();
    let mut holder = stage.server.client();
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    let mut waiters = stage.server.clients(5);
    stage.server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
    stage.arm("discard");
    assert!(holder.run(&format!("CACHE.FILL page {token} value PX 60000")).is_ok());
    for waiter in &mut waiters {
        assert!(waiter.read().triple().is("HIT", Some("value")));
    }
    stage.survives("discard");
}

#[test]
#[ignore = "needs the feature faults: make test-faults"]
fn a_disconnect_that_panics_frees_the_client_all_the_same() {
    let mut stage = Stage::set();
    let mut holder = stage.server.client();
    holder.ask("CACHE.GETORLOCK page LEASE 60000");
    let (mut leaver, mut other) = (stage.server.client(), stage.server.client());
    stage.server.park(&mut leaver, "CACHE.GETORLOCK page BLOCK 0");
    stage.server.park(&mut other, "CACHE.GETORLOCK page BLOCK 0");
    stage.arm("leave");
    leaver.hang_up();
    // Whoever else waits cannot rely on the room any more.
    assert!(is_internal(&other.read()));
    stage.survives("leave");
}

#[test]
#[ignore = "needs the feature faults: make test-faults"]
fn client_unblock_that_panics_answers_with_an_error() {
    let mut stage = Stage::set();
    let mut holder = stage.server.client();
    holder.ask("CACHE.GETORLOCK page LEASE 60000");
    let mut waiter = stage.server.client();
    let id = waiter.id();
    stage.server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    stage.arm("time_out");
    assert_eq!(holder.run(&format!("CLIENT UNBLOCK {id}")).number(), 1);
    assert!(is_internal(&waiter.read()));
    assert_eq!(waiter.run("PING").text(), "PONG", "one answer, not two");
    stage.survives("time_out");
}

#[test]
#[ignore = "needs the feature faults: make test-faults"]
fn events_that_panic_are_caught() {
    let mut stage = Stage::set();
    for event in ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1"] {
        stage.arm("event_happened");
        let reply = stage.operator.run(event);
        assert!(reply.is_ok(), "{event}: {reply:?}");
        stage.survives("event_happened");
    }
    // A client that goes.
    let gone = stage.server.client();
    stage.arm("event_happened");
    gone.hang_up();
    stage.survives("event_happened");
    // Roles: to replica of nobody that answers, and back.
    for to in ["REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"] {
        assert!(stage.operator.run("CACHE.FAULT event_happened").is_ok());
        assert!(stage.operator.run(to).is_ok());
        stage.caught += 1;
        let caught = stage.caught;
        eventually("the role's panic is caught", || stage.server.info("corral_panics_caught") == caught);
    }
    stage.arm("handle");
    assert!(is_internal(&stage.server.client().run("CACHE.GET key")));
    stage.survives("handle");
}

#[test]
#[ignore = "needs the feature faults: make test-faults"]
fn entries_whose_callbacks_panic_cost_one_command_and_no_more() {
    let mut stage = Stage::set();
    let mut client = stage.server.client();
    for (place, command) in [
        ("mem_usage", "MEMORY USAGE key"),
        ("digest", "DEBUG DIGEST-VALUE key"),
        ("rdb_save", "DUMP key"),
        ("copy", "COPY key twin REPLACE"),
        ("unlink", "DEL key"),
        ("free", "DEL key"),
        ("free_effort", "UNLINK key"),
        ("unlink", "RENAME key twin"),
    ] {
        client.run("DEL twin");
        assert!(client.run("CACHE.SET key value PX 600000").is_ok());
        stage.arm(place);
        client.run(command);
        assert_eq!(client.run("PING").text(), "PONG", "{command}");
        stage.survives(place);
    }
}

/// A payload that was cut short by a panic is refused.
#[test]
#[ignore = "needs the feature faults: make test-faults"]
fn a_dump_or_a_restore_that_panics_restores_nothing() {
    let mut stage = Stage::set();
    let mut client = stage.server.client();
    assert!(client.run("CACHE.SET key value PX 600000").is_ok());
    let whole = dump(&mut client, "key");
    stage.arm("rdb_save");
    let torn = client.run("DUMP key");
    stage.survives("rdb_save");
    if let Reply::Text(torn) = torn {
        let reply = client.call(&[b"RESTORE", b"torn", b"0", &torn]);
        assert!(matches!(reply, Reply::Error(_)) || client.ask("CACHE.GET torn").state == "MISS", "{reply:?}");
    }
    stage.arm("rdb_load");
    assert!(matches!(client.call(&[b"RESTORE", b"copy", b"0", &whole]), Reply::Error(_)));
    assert_eq!(client.run("EXISTS copy").number(), 0);
    stage.survives("rdb_load");
    assert!(client.call(&[b"RESTORE", b"copy", b"0", &whole]).is_ok());
    assert!(client.ask("CACHE.GET copy").is("HIT", Some("value")));
}

/// What cannot be written costs one entry at most, never the file.
#[test]
#[ignore = "needs the feature faults: make test-faults"]
fn a_save_that_panics_costs_one_entry_and_not_the_data_set() {
    for (place, persist) in [("rdb_save", "SAVE"), ("rdb_save", "BGSAVE"), ("aof_rewrite", "BGREWRITEAOF")] {
        let aof = if place == "aof_rewrite" { "yes" } else { "no" };
        let mut stage = Stage::of(Server::with(&["--save", "", "--appendonly", aof, "--aof-use-rdb-preamble", "no"]));
        let mut client = stage.server.client();
        for key in ["a", "b", "c"] {
            assert!(client.run(&format!("CACHE.SET {key} value")).is_ok());
        }
        stage.arm(place);
        let reply = client.run(persist);
        assert!(!matches!(reply, Reply::Closed | Reply::Error(_)), "{persist}: {reply:?}");
        eventually("the child has ended", || {
            let info = client.run("INFO persistence").text();
            ["rdb_bgsave_in_progress:0", "aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"]
                .iter()
                .all(|line| info.contains(line))
        });
        stage.server.restart();
        let mut client = stage.server.client();
        let back = ["a", "b", "c"].iter().filter(|key| client.ask(&format!("CACHE.GET {key}")).state == "HIT");
        assert_eq!(back.count(), 2, "{persist}");
    }
}

#[test]
#[ignore = "needs the feature faults: make test-faults"]
fn settings_and_info_that_panic_say_so() {
    let mut stage = Stage::set();
    let mut client = stage.server.client();
    for (place, command) in [
        ("set_number", "CONFIG SET corral.lease-ms 5000"),
        ("set_flag", "CONFIG SET corral.log-expired-leases no"),
        ("set_text", "CONFIG SET corral.early-beta 1.5"),
    ] {
        stage.arm(place);
        let reply = client.run(command);
        assert!(matches!(reply, Reply::Error(_)), "{command}: {reply:?}");
        stage.survives(place);
        assert!(client.run(command).is_ok());
    }
    for (place, command) in [
        ("get_number", "CONFIG GET corral.lease-ms"),
        ("get_flag", "CONFIG GET corral.log-expired-leases"),
        ("get_text", "CONFIG GET corral.early-beta"),
        ("info", "INFO corral"),
    ] {
        stage.arm(place);
        assert!(!matches!(client.run(command), Reply::Closed), "{command}");
        stage.survives(place);
    }
}
