//! Groups beside many keys and processes that die: what a story of a few clients cannot show.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::{eventually, Client, Server};

/// A cold cache: every key is asked for at once, by several callers each.
#[test]
fn a_cold_cache_never_has_more_builds_than_its_group_allows() {
    const MAX: usize = 4;
    const KEYS: usize = 60;
    let server = Server::start();
    let mut client = server.client();
    assert!(grouped(&mut client, "source", MAX));
    let mut callers: Vec<(usize, Client)> = (0..KEYS * 2).map(|number| (number % KEYS, server.client())).collect();
    for (key, caller) in &mut callers {
        caller.send(&format!("CACHE.GETORLOCK page{key} LEASE 300000 BLOCK 0 GROUP source"));
    }
    let (mut builds, mut hits) = (0, 0);
    let mut held: Vec<(usize, i64)> = Vec::new();
    while !callers.is_empty() {
        eventually("somebody is answered", || callers.iter().any(|(_, caller)| caller.has_reply()));
        callers.retain_mut(|(key, caller)| {
            if !caller.has_reply() {
                return true;
            }
            let answer = caller.read().triple();
            if answer.state == "LOCK" {
                held.push((*key, answer.token()));
                builds += 1;
            } else {
                assert!(answer.is("HIT", Some("html")), "{answer:?}");
                hits += 1;
            }
            false
        });
        let live = client.run("CACHE.LEASES COUNT 1000 GROUP source").list().len();
        assert!(live <= MAX && held.len() <= MAX, "{live} leases are out, {} were told", held.len());
        for (key, token) in held.drain(..) {
            assert!(client.run(&format!("CACHE.FILL page{key} {token} html")).is_ok());
        }
    }
    assert_eq!((builds, hits), (KEYS, KEYS), "each key is built once");
}

/// Who asks over many keys is granted in the order of asking, whatever its key, and however often that was released.
#[test]
fn permits_go_to_who_asked_first_over_all_the_keys_of_a_group() {
    const MAX: usize = 3;
    const CALLERS: usize = 30;
    let server = Server::start();
    let mut client = server.client();
    assert!(grouped(&mut client, "source", MAX));
    let mut busy: Vec<(String, i64)> = (0..MAX)
        .map(|number| {
            let key = format!("busy{number}");
            let token = client.ask(&format!("CACHE.GETORLOCK {key} LEASE 300000 GROUP source")).token();
            (key, token)
        })
        .collect();
    let mut callers: Vec<(String, Client)> =
        (0..CALLERS).map(|number| (format!("page{}", number * 7 % 10), server.client())).collect();
    for (number, (key, caller)) in (1..).zip(&mut callers) {
        caller.send(&format!("CACHE.GETORLOCK {key} LEASE 300000 BLOCK 0 GROUP source"));
        // By the node: a key that nobody holds yet is none that CACHE.INFO knows.
        eventually("the caller queues", || server.info("corral_waiters") == number);
    }
    for (number, (key, caller)) in callers.iter_mut().enumerate() {
        let (ended, token) = busy.remove(0);
        assert_eq!(client.run(&format!("CACHE.RELEASE {ended} {token}")).number(), 1);
        let answer = caller.read().triple();
        assert!(answer.is("LOCK", None), "caller {number}: {answer:?}");
        busy.push((key.clone(), answer.token()));
    }
}

/// A source that is down is reached by as many attempts as the circuit allows, however many keys are asked for.
#[test]
fn a_source_that_is_down_is_tried_no_more_while_its_circuit_is_open() {
    let server = Server::start();
    let mut client = server.client();
    let settings = b"source fails 3 cool-ms 300000";
    assert!(client.call(&[b"CONFIG", b"SET", b"corral.groups", settings]).is_ok());
    let mut attempts = 0;
    for key in 0..200 {
        let answer = client.ask(&format!("CACHE.GETORLOCK page{key} GROUP source"));
        if answer.state == "LOCK" {
            attempts += 1;
            client.run(&format!("CACHE.FAIL page{key} {} down", answer.token()));
        } else {
            assert!(answer.is("FAIL", Some("circuit open: down")), "{answer:?}");
        }
    }
    assert_eq!(attempts, 3);
    assert!(client.ask("CACHE.GETORLOCK elsewhere").is("LOCK", None), "the circuit is the group's");
}

/// A refresh of a token that invalidates the old one: it must not run twice by itself.
#[test]
fn a_holder_that_is_killed_half_way_through_a_once_leaves_it_to_the_operator() {
    let server = Server::start();
    let line = "CACHE.GETORLOCK oauth LEASE 300000 TIED ONCE 0";
    let mut holder = Command::new("redis-cli")
        .args(["-p", &server.port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(holder.stdin.as_mut().unwrap(), "{line}").unwrap();
    let mut client = server.client();
    eventually("the process holds the lease", || client.run("CACHE.LEASES").list().len() == 1);
    let mut callers = server.clients(50);
    server.park_all(&mut callers, &format!("{line} BLOCK 0"));
    holder.kill().unwrap();
    holder.wait().unwrap();
    for caller in &mut callers {
        let answer = caller.read().triple();
        assert!(answer.is("FAIL", Some("outcome unknown")), "everybody is told, and nobody is to call: {answer:?}");
    }
    for way in ["", " FORCE", " NOSTALE", " BLOCK 10"] {
        let answer = client.ask(&format!("{line}{way}"));
        assert!(answer.is("FAIL", Some("outcome unknown")) && answer.number == -1, "{way}: {answer:?}");
    }
    assert_eq!(client.run("CACHE.INVALIDATE oauth").number(), 1, "the operator's way out");
    let token = client.ask(line).token();
    assert!(client.run(&format!("CACHE.FILL oauth {token} secret PX 300000")).is_ok());
    for caller in &mut callers {
        assert!(caller.ask(line).is("HIT", Some("secret")), "and one call for all");
    }
}

/// CONFIG SET with words that have blanks in them.
fn grouped(client: &mut Client, name: &str, max: usize) -> bool {
    let settings = format!("{name} max {max}");
    client.call(&[b"CONFIG", b"SET", b"corral.groups", settings.as_bytes()]).is_ok()
}

#[test]
fn names_that_are_one_in_info_stand_there_once_with_what_both_have() {
    let server = Server::start();
    let mut client = server.client();
    for (key, group) in [("a", "a:b"), ("b", "a_b"), ("c", "a.b")] {
        client.ask(&format!("CACHE.GETORLOCK {key} GROUP {group}")).token();
    }
    let info = client.run("INFO corral").text();
    let lines: Vec<&str> = info.lines().filter(|line| line.starts_with("corral_group_a")).collect();
    assert_eq!(lines, ["corral_group_a_b:live=3,permits=3,queued=0,granted=3,refused=0,circuit=closed"]);
}
