//! What operators see in Redis's own ways: SLOWLOG, LATENCY, MONITOR, CLIENT LIST, command statistics.

use crate::harness::{eventually, Client, Reply, Server};

/// The calls in the slow log that begin with these words, and their microseconds.
fn slow(client: &mut Client, words: &str) -> Vec<i64> {
    let log = client.run("SLOWLOG GET -1");
    let call = |entry: &Reply| entry.list()[3].list().iter().map(Reply::text).collect::<Vec<_>>().join(" ");
    log.list().iter().filter(|entry| call(entry).starts_with(words)).map(|entry| entry.list()[2].number()).collect()
}

#[test]
fn the_slow_log_has_the_work_of_a_parked_call_and_not_its_wait() {
    const WAITED_MS: i64 = 300;
    let server = Server::with(&["--slowlog-log-slower-than", "0", "--slowlog-max-len", "10000"]);
    let (mut client, mut waiter) = (server.client(), server.client());
    let token = client.ask("CACHE.GETORLOCK page LEASE 60000").token();
    waiter.send(&format!("CACHE.GETORLOCK page BLOCK {WAITED_MS} NOSTALE"));
    assert!(waiter.read().triple().is("WAIT", None));
    client.run(&format!("CACHE.FILL page {token} html PX 60000"));
    assert_eq!(slow(&mut client, "CACHE.FILL page").len(), 1);
    assert_eq!(slow(&mut client, "CACHE.GETORLOCK page LEASE").len(), 1);
    let parked = slow(&mut client, "CACHE.GETORLOCK page BLOCK");
    assert!(!parked.is_empty() && parked.iter().all(|us| *us < WAITED_MS * 1000), "{parked:?}");
}

#[test]
fn command_statistics_and_latency_histograms_count_every_call_once() {
    let server = Server::start();
    let (mut client, mut waiter) = (server.client(), server.client());
    client.run("CONFIG SET latency-monitor-threshold 1");
    let token = client.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    client.run(&format!("CACHE.FILL page {token} html PX 60000"));
    waiter.read().triple();
    client.ask("CACHE.GETORLOCK page");
    assert!(client.run("CACHE.GETORLOCK page LEASE 0").error().starts_with("ERR "));
    let calls = |client: &mut Client, name: &str| -> String {
        let info = client.run("INFO commandstats").text().to_lowercase();
        let line = info.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:")));
        line.unwrap_or_default().split(['=', ',']).nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(calls(&mut client, "cache.getorlock"), "4");
    assert_eq!(calls(&mut client, "cache.fill"), "1");
    let histogram = client.run("LATENCY HISTOGRAM CACHE.GETORLOCK CACHE.FILL");
    assert_eq!(histogram.list().len(), 4, "{histogram:?}");
    client.run("LATENCY LATEST").list();
    assert!(client.run("LATENCY DOCTOR").text().len() > 10);
}

#[test]
fn monitor_shows_every_call_once_though_it_is_parked() {
    let server = Server::start();
    let (mut monitor, mut client, mut waiter) = (server.client(), server.client(), server.client());
    let token = client.ask("CACHE.GETORLOCK page LEASE 60000").token();
    assert!(monitor.run("MONITOR").is_ok());
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    client.run(&format!("CACHE.FILL page {token} html"));
    waiter.read().triple();
    client.run("ECHO the-end");
    let mut seen = Vec::new();
    loop {
        let line = monitor.read().text();
        if line.contains("the-end") {
            break;
        }
        seen.push(line);
    }
    for call in [r#""CACHE.GETORLOCK" "page" "BLOCK" "0""#, r#""CACHE.FILL" "page""#] {
        assert_eq!(seen.iter().filter(|line| line.contains(call)).count(), 1, "{call} in {seen:?}");
    }
    assert!(!seen.iter().any(|line| line.contains("CACHE.APPLY")), "{seen:?}");
}

#[test]
fn client_list_shows_who_is_parked() {
    let server = Server::start();
    let (mut client, mut waiter) = (server.client(), server.client());
    let token = client.ask("CACHE.GETORLOCK page LEASE 60000").token();
    let id = waiter.id();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    let line = client.run(&format!("CLIENT LIST ID {id}")).text().to_lowercase();
    assert!(line.contains(" flags=b ") && line.contains("cmd=cache.getorlock"), "{line}");
    assert_eq!(server.info("blocked_clients"), 1);
    client.run(&format!("CACHE.FILL page {token} html"));
    waiter.read().triple();
    let line = client.run(&format!("CLIENT LIST ID {id}")).text();
    assert!(line.contains(" flags=N "), "{line}");
}

#[test]
fn parked_clients_that_the_server_evicts_are_forgotten_and_those_it_must_not_evict_are_served() {
    const EACH: usize = 10;
    let server = Server::start();
    let mut client = server.client();
    client.run("CLIENT NO-EVICT ON");
    let (mut kept, mut evicted) = (server.clients(EACH), server.clients(EACH));
    for client in &mut kept {
        assert!(client.run("CLIENT NO-EVICT ON").is_ok());
    }
    let token = client.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park_all(&mut kept, "CACHE.GETORLOCK page BLOCK 0");
    server.park_all(&mut evicted, "CACHE.GETORLOCK page BLOCK 0");
    assert!(client.run("CONFIG SET maxmemory-clients 1").is_ok());
    assert!(evicted.iter_mut().all(|waiter| waiter.read() == Reply::Closed));
    assert!(client.run("CONFIG SET maxmemory-clients 0").is_ok());
    eventually("the evicted ones are forgotten", || server.info("corral_waiters") == EACH as i64);
    assert!(client.run(&format!("CACHE.FILL page {token} html")).is_ok());
    assert!(kept.iter_mut().all(|waiter| waiter.read().triple().is("HIT", Some("html"))));
}
