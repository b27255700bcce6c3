//! DUMP and RESTORE: entries that travel as bytes, and bytes that are no entries.

use std::collections::BTreeSet;

use crate::harness::payload::{dump, restore, sealed, FOOTER};
use crate::harness::{eventually, Client, Reply, Server};

/// Headers are searched for and changed: they must not be compressed.
fn start() -> Server {
    Server::with(&["--save", "", "--appendonly", "no", "--rdbcompression", "no", "--latency-tracking", "no"])
}

/// Entries of every kind, and the tokens of those that have a lease.
fn furnish(client: &mut Client) -> Vec<(&'static str, Option<i64>)> {
    client.run("CACHE.SET fresh value PX 3600000 SWR 50000 SIE 90000");
    client.run("CACHE.SET forever value");
    client.run("CACHE.SET refreshed old PX 3600000");
    let failed = client.ask("CACHE.GETORLOCK failed").token();
    client.run(&format!("CACHE.FAIL failed {failed} down BACKOFF 3600000"));
    let passed = client.ask("CACHE.GETORLOCK passed").token();
    client.run(&format!("CACHE.PASS passed {passed} PX 3600000"));
    let held = client.ask("CACHE.GETORLOCK held LEASE 300000").token();
    let refreshed = client.ask("CACHE.GETORLOCK refreshed FORCE LEASE 300000").token();
    vec![
        ("fresh", None),
        ("forever", None),
        ("failed", None),
        ("passed", None),
        ("held", Some(held)),
        ("refreshed", Some(refreshed)),
    ]
}

#[test]
fn a_restored_entry_has_its_value_its_times_and_its_lease() {
    let (here, there) = (start(), start());
    let (mut from, mut to) = (here.client(), there.client());
    for (key, token) in furnish(&mut from) {
        let payload = dump(&mut from, key);
        let expires_at = from.run(&format!("PEXPIRETIME {key}")).number();
        let ttl = expires_at.max(0).to_string();
        let reply = to.call(&[b"RESTORE", key.as_bytes(), ttl.as_bytes(), &payload, b"ABSTTL"]);
        assert!(reply.is_ok(), "{key}: {reply:?}");
        assert_eq!(to.run(&format!("PEXPIRETIME {key}")).number(), expires_at, "{key}");
        let digest = format!("DEBUG DIGEST-VALUE {key}");
        assert_eq!(to.run(&digest), from.run(&digest), "{key}");
        let (mine, other) = (from.ask(&format!("CACHE.GET {key}")), to.ask(&format!("CACHE.GET {key}")));
        assert_eq!((&mine.state, &mine.value), (&other.state, &other.value), "{key}");
        assert!(mine.number >= other.number && other.number >= mine.number - 60_000, "{key}: {mine:?} {other:?}");
        if let Some(token) = token {
            assert!(to.run(&format!("CACHE.FILL {key} {token} rebuilt PX 3600000")).is_ok(), "{key}");
            assert!(to.ask(&format!("CACHE.GETORLOCK {key}")).is("HIT", Some("rebuilt")), "{key}");
        }
    }
    assert!(to.ask("CACHE.GETORLOCK failed").is("FAIL", Some("down")));
    assert!(to.ask("CACHE.GETORLOCK passed").is("PASS", None));
}

#[test]
fn a_dump_of_a_dump_is_the_same() {
    let server = start();
    let mut client = server.client();
    for (key, _) in furnish(&mut client) {
        let payload = dump(&mut client, key);
        assert!(restore(&mut client, "twin", &payload).is_ok(), "{key}");
        assert_eq!(dump(&mut client, "twin"), payload, "{key}");
    }
}

#[test]
fn a_restore_over_a_key_voids_its_lease_and_its_waiters_stay_with_their_holder() {
    let server = start();
    let (mut holder, mut waiter) = (server.client(), server.client());
    holder.run("CACHE.SET other value PX 3600000");
    let payload = dump(&mut holder, "other");
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    assert!(restore(&mut holder, "page", &payload).is_ok());
    assert!(holder.run(&format!("CACHE.FILL page {token} late")).is_nil());
    assert!(waiter.read().triple().is("HIT", Some("late")));
    assert!(holder.ask("CACHE.GET page").is("HIT", Some("value")));
}

#[test]
fn a_restored_lease_runs_out_and_is_handed_over_like_any() {
    let (here, there) = (start(), start());
    let (mut from, mut to, mut waiter) = (here.client(), there.client(), there.client());
    let token = from.ask("CACHE.GETORLOCK page LEASE 3000").token();
    let payload = dump(&mut from, "page");
    assert!(restore(&mut to, "page", &payload).is_ok());
    waiter.send("CACHE.GETORLOCK page BLOCK 0 LEASE 60000");
    let lock = waiter.read().triple();
    assert!(lock.is("LOCK", None) && lock.token() > token, "{lock:?}");
    assert!(to.run(&format!("CACHE.FILL page {token} late")).is_nil());
    assert!(to.run(&format!("CACHE.FILL page {} html", lock.token())).is_ok());
}

#[test]
fn a_restored_token_counts_as_seen() {
    const AHEAD: i64 = 3_600_000_000;
    let server = start();
    let mut client = server.client();
    let token = client.ask("CACHE.GETORLOCK page LEASE 60000").token();
    let mut payload = dump(&mut client, "page");
    let place =
        payload.windows(7).position(|window| window == &token.to_le_bytes()[..7]).expect("the token is in the dump");
    payload[place..place + 7].copy_from_slice(&(token + AHEAD).to_le_bytes()[..7]);
    assert!(restore(&mut client, "page", &sealed(payload)).is_ok());
    // A payload may still be refused: it counts from the next turn on.
    eventually("it is listed", || client.run("CACHE.LEASES").list().len() == 1);
    let next = client.ask("CACHE.GETORLOCK other").token();
    assert!(next > token + AHEAD, "{next}");
    assert!(client.run(&format!("CACHE.FILL page {token} late")).is_nil());
    assert!(client.run(&format!("CACHE.FILL page {} html", token + AHEAD)).is_ok());
}

#[test]
fn a_dump_that_ends_early_anywhere_is_refused() {
    let mut server = start();
    let mut client = server.client();
    for (key, _) in furnish(&mut client) {
        let payload = dump(&mut client, key);
        let body = payload.len() - FOOTER;
        for length in 0..body {
            let torn = [&payload[..length], &payload[body..]].concat();
            match restore(&mut client, "torn", &sealed(torn)) {
                Reply::Error(sentence) => assert!(sentence.starts_with("ERR "), "{key}, {length} bytes: {sentence}"),
                // The server reads on into the footer: 0a 00 are one more byte of a value, and the mark of the end.
                reply => assert!(reply.is_ok() && body - length <= FOOTER, "{key}, {length} of {body}: {reply:?}"),
            }
            client.run("DEL torn");
        }
    }
    assert_eq!(server.info("corral_panics_caught"), 0);
    assert!(server.is_alive());
}

/// A payload that is none, or no longer the same, with a checksum that is right for it.
fn mutated(whole: &[u8], other: &[u8], chance: &mut fastrand::Rng) -> Vec<u8> {
    // The type's byte stays: any other one is a type of the server's own, which has its own gaps.
    const BODY: usize = 1;
    let body = BODY..whole.len() - FOOTER;
    let mut payload = whole.to_vec();
    match chance.u32(0..10) {
        // Bytes flipped, set, put in and taken out.
        0..6 => {
            for _ in 0..chance.u32(1..4) {
                let place = chance.usize(BODY..payload.len() - FOOTER);
                match chance.u32(0..5) {
                    0 => payload[place] ^= 1 << chance.u32(0..8),
                    1 => payload[place] = chance.u8(..),
                    2 => payload[place] = 0xff,
                    3 => payload.insert(place, chance.u8(..)),
                    _ => drop(payload.remove(place)),
                }
            }
        }
        // Cut off.
        6 => drop(payload.drain(chance.usize(body.clone())..body.end)),
        // The beginning of one and the end of another.
        7 => {
            let tail = chance.usize(BODY..other.len() - FOOTER);
            payload = [&whole[..chance.usize(body)], &other[tail..]].concat();
        }
        // From the future: the RDB format, the type's encoding (in the last byte of its id), the header's version.
        8 => {
            let format = payload.len() - FOOTER;
            let place = [format, 9, 12][chance.usize(0..3)];
            payload[place] = payload[place].saturating_add(chance.u8(1..));
        }
        _ => {
            let length = chance.usize(0..300);
            payload.splice(body, std::iter::repeat_with(|| chance.u8(..)).take(length));
        }
    }
    sealed(payload)
}

#[test]
fn a_hundred_thousand_mutated_dumps_are_refused_or_restored_and_leave_nothing_behind() {
    const MUTANTS: usize = 100_200;
    const AT_ONCE: usize = 300;
    const PROBES: [&str; 7] = [
        "CACHE.GET",
        "CACHE.INFO",
        "CACHE.GETORLOCK FORCE",
        "CACHE.INVALIDATE",
        "MEMORY USAGE",
        "DUMP",
        "DEBUG DIGEST-VALUE",
    ];
    let mut server = start();
    let mut client = server.client();
    let mut chance = fastrand::Rng::with_seed(7);
    let kinds = furnish(&mut client);
    let wholes: Vec<Vec<u8>> = kinds.iter().map(|(key, _)| dump(&mut client, key)).collect();
    let (mut refused, mut restored, mut sentences) = (0, 0, BTreeSet::new());
    let mut memory = 0;
    for batch in 0..MUTANTS / AT_ONCE {
        let payloads: Vec<Vec<u8>> = (0..AT_ONCE)
            .map(|index| {
                let other = chance.choice(&wholes).unwrap();
                mutated(&wholes[index % wholes.len()], other, &mut chance)
            })
            .collect();
        for (index, payload) in payloads.iter().enumerate() {
            client.send_bytes(&[b"RESTORE", format!("mutant{index}").as_bytes(), b"0", payload]);
        }
        let mut there = Vec::new();
        for (index, payload) in payloads.iter().enumerate() {
            match client.read() {
                Reply::Error(sentence) => {
                    assert!(sentence.starts_with("ERR ") && sentence.len() > 10, "{sentence} to {payload:x?}");
                    sentences.insert(sentence);
                    refused += 1;
                }
                reply => {
                    assert!(reply.is_ok(), "{reply:?} to {payload:x?}");
                    there.push(index);
                    restored += 1;
                }
            }
        }
        let probes = there.iter().flat_map(|index| PROBES.map(|probe| (index, probe)));
        let lines = probes.map(|(index, probe)| match probe.strip_suffix(" FORCE") {
            Some(command) => (index, format!("{command} mutant{index} FORCE")),
            None => (index, format!("{probe} mutant{index}")),
        });
        let lines: Vec<_> = lines.collect();
        lines.iter().for_each(|(_, line)| client.send(line));
        for (index, line) in &lines {
            let reply = client.read();
            let fine = !matches!(reply, Reply::Error(_) | Reply::Closed);
            assert!(fine, "{line}: {reply:?} after {:x?}", payloads[**index]);
        }
        client.run("CACHE.LEASES COUNT 1000").list();
        let mutants = (0..AT_ONCE).map(|index| format!(" mutant{index}")).collect::<String>();
        client.run(&format!("DEL{mutants}"));
        if batch == 0 {
            // By now the server has made whatever it makes once.
            memory = server.info("used_memory");
        }
    }
    eprintln!("{refused} refused, {restored} restored; {sentences:?}");
    assert!(refused > 0 && restored > 0);
    assert_eq!(server.info("corral_panics_caught"), 0);
    eventually("memory returns", || server.info("used_memory") < memory + (200 << 10));
    for (key, token) in kinds {
        if let Some(token) = token {
            assert!(client.run(&format!("CACHE.FILL {key} {token} value")).is_ok(), "{key}");
        }
    }
    assert!(server.is_alive());
}
