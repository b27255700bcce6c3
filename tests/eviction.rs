//! Eviction: entries count like any key, and whoever waits on an evicted one is answered.

use crate::harness::{eventually, Client, Reply, Server};

const POLICIES: [&str; 8] = [
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

const KIBIBYTE: usize = 1 << 10;

fn start(policy: &str) -> Server {
    Server::with(&["--save", "", "--maxmemory-policy", policy, "--maxmemory-samples", "10"])
}

/// Lets the server grow by so much from now on.
fn limit(client: &mut Client, server: &Server, room: i64) {
    let limit = server.info("used_memory") + room;
    assert!(client.run(&format!("CONFIG SET maxmemory {limit}")).is_ok());
}

/// Sends many commands and returns their replies.
fn run_all(client: &mut Client, lines: &[String]) -> Vec<Reply> {
    let mut replies = Vec::new();
    for some in lines.chunks(100) {
        some.iter().for_each(|line| client.send(line));
        replies.extend(some.iter().map(|_| client.read()));
    }
    replies
}

fn entries(prefix: &str, count: usize) -> Vec<String> {
    let value = "x".repeat(KIBIBYTE);
    (0..count).map(|index| format!("CACHE.SET {prefix}{index} {value} PX 3600000")).collect()
}

/// How many keys of this kind are left.
fn left(client: &mut Client, pattern: &str) -> usize {
    client.run(&format!("KEYS {pattern}")).list().len()
}

#[test]
fn under_every_policy_all_waiters_are_answered_and_entries_are_evicted() {
    const PAGES: usize = 20;
    const OLD: usize = 2000;
    for policy in POLICIES {
        let server = start(policy);
        let mut client = server.client();
        run_all(&mut client, &entries("old", OLD));
        let holders: Vec<i64> =
            (0..PAGES).map(|page| client.ask(&format!("CACHE.GETORLOCK page{page} LEASE 60000")).token()).collect();
        let mut waiters: Vec<Vec<Client>> = (0..PAGES)
            .map(|page| {
                let mut waiters = server.clients(3);
                server.park_all(&mut waiters, &format!("CACHE.GETORLOCK page{page} BLOCK 0"));
                waiters
            })
            .collect();
        limit(&mut client, &server, 1 << 20);
        let replies = run_all(&mut client, &entries("new", 4000));
        let refused = replies.iter().filter(|reply| matches!(reply, Reply::Error(_))).count();
        let evicted = server.info("evicted_keys");
        if policy == "noeviction" {
            assert!(refused > 0 && evicted == 0, "{policy}: {refused} refused, {evicted} evicted");
            let oom = replies.iter().find(|reply| matches!(reply, Reply::Error(_))).unwrap();
            assert!(oom.error().starts_with("OOM "), "{oom:?}");
            assert_eq!(left(&mut client, "old*"), OLD);
        } else {
            assert_eq!(refused, 0, "{policy}");
            assert!(evicted > 0 && left(&mut client, "old*") + left(&mut client, "new*") < OLD + 4000, "{policy}");
        }
        // The placeholders are keys like others: some may be gone, and their holders' fills are void.
        let (mut stored, mut void, mut full) = (0, 0, 0);
        for (page, token) in holders.iter().enumerate() {
            match client.run(&format!("CACHE.FILL page{page} {token} html{page} PX 3600000")) {
                Reply::Nil => void += 1,
                Reply::Error(sentence) => {
                    assert!(policy == "noeviction" && sentence.starts_with("OOM "), "{policy}: {sentence}");
                    full += 1;
                }
                reply => {
                    assert!(reply.is_ok(), "{policy}: {reply:?}");
                    stored += 1;
                }
            }
            for waiter in &mut waiters[page] {
                let hit = waiter.read().triple();
                assert!(hit.is("HIT", Some(&format!("html{page}"))), "{policy}: {hit:?}");
            }
        }
        eprintln!("{policy}: {evicted} evicted, {refused} refused; fills: {stored} stored, {void} void, {full} OOM");
        assert_eq!((server.info("corral_waiters"), server.info("corral_panics_caught")), (0, 0), "{policy}");
    }
}

#[test]
fn whoever_waits_on_an_evicted_lease_asks_again_at_its_deadline() {
    let server = start("allkeys-random");
    let (mut client, mut waiters) = (server.client(), server.clients(3));
    client.ask("CACHE.GETORLOCK page LEASE 1500");
    server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0 LEASE 60000");
    client.run("CONFIG SET maxmemory 1");
    assert!(client.run("SET no room").error().starts_with("OOM "));
    assert_eq!(client.run("EXISTS page").number(), 0);
    client.run("CONFIG SET maxmemory 0");
    eventually("one of them is granted the next lease", || waiters.iter().any(Client::has_reply));
    let index = waiters.iter().position(Client::has_reply).unwrap();
    let mut holder = waiters.remove(index);
    let lock = holder.read().triple();
    assert!(lock.is("LOCK", None), "{lock:?}");
    assert!(holder.run(&format!("CACHE.FILL page {} html", lock.token())).is_ok());
    assert!(waiters.iter_mut().all(|waiter| waiter.read().triple().is("HIT", Some("html"))));
}

#[test]
fn entries_and_strings_of_one_size_are_evicted_alike() {
    const EACH: usize = 2000;
    let server = start("allkeys-random");
    let mut client = server.client();
    run_all(&mut client, &entries("entry", EACH));
    let value = "x".repeat(KIBIBYTE);
    let strings: Vec<String> = (0..EACH).map(|index| format!("SET string{index} {value}")).collect();
    run_all(&mut client, &strings);
    limit(&mut client, &server, -2 << 20);
    client.run("SET one more");
    eventually("the server has shrunk", || left(&mut client, "*") < EACH + EACH / 2);
    let (entries, strings) = (left(&mut client, "entry*"), left(&mut client, "string*"));
    eprintln!("{entries} entries and {strings} strings are left of {EACH} each");
    let share = entries as f64 / (entries + strings) as f64;
    assert!((0.4..0.6).contains(&share), "{entries} entries and {strings} strings are left");
}

#[test]
fn entries_in_use_outlive_idle_ones() {
    const KEYS: usize = 2000;
    const IN_USE: usize = 100;
    for policy in ["allkeys-lru", "volatile-lru", "allkeys-lfu", "volatile-lfu"] {
        for command in ["CACHE.GET", "CACHE.GETORLOCK"] {
            let server = start(policy);
            let mut client = server.client();
            run_all(&mut client, &entries("idle", KEYS));
            run_all(&mut client, &entries("used", IN_USE));
            if policy.ends_with("lru") {
                // The clock of LRU has seconds.
                eventually("time has passed", || client.run("OBJECT IDLETIME idle0").number() >= 2);
            }
            let hits: Vec<String> = (0..IN_USE).map(|key| format!("{command} used{key}")).collect();
            for _ in 0..if policy.ends_with("lru") { 1 } else { 50 } {
                let hits = run_all(&mut client, &hits);
                assert!(hits.iter().all(|hit| hit.triple().state == "HIT"));
            }
            limit(&mut client, &server, -1 << 20);
            client.run("SET one more");
            let idle = {
                eventually("the server has shrunk", || left(&mut client, "idle*") < KEYS - 500);
                left(&mut client, "idle*")
            };
            let used = left(&mut client, "used*");
            eprintln!("{policy}, {command}: {used} of {IN_USE} in use and {idle} of {KEYS} idle ones are left");
            assert!(used >= IN_USE * 95 / 100, "{policy}, {command}: {used} of {IN_USE} in use, {idle} idle");
        }
    }
}
