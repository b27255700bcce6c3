//! What was filled together does not expire together.

use crate::harness::{now_ms, Client, Reply, Server};

const FRESH_MS: u64 = 10_000_000;

/// Runs many commands in packets of some hundred, and returns the replies.
fn run_all(client: &mut Client, lines: &[String]) -> Vec<Reply> {
    let mut replies = Vec::with_capacity(lines.len());
    for packet in lines.chunks(500) {
        client.send_together(&packet.iter().map(String::as_str).collect::<Vec<_>>());
        replies.extend(packet.iter().map(|_| client.read()));
    }
    replies
}

/// Commands of one form for many keys.
fn for_all(keys: usize, line: impl Fn(usize) -> String) -> Vec<String> {
    (0..keys).map(line).collect()
}

#[test]
fn ten_thousand_keys_filled_together_expire_over_the_last_tenth_and_none_later() {
    const KEYS: usize = 10_000;
    let server = Server::start();
    let mut client = server.client();
    let locks = run_all(&mut client, &for_all(KEYS, |key| format!("CACHE.GETORLOCK key{key} LEASE 290000")));
    let tokens: Vec<i64> = locks.iter().map(|lock| lock.triple().token()).collect();
    let before = now_ms();
    let fills = for_all(KEYS, |key| format!("CACHE.FILL key{key} {} v PX {FRESH_MS} JITTER 10", tokens[key]));
    assert!(run_all(&mut client, &fills).iter().all(Reply::is_ok));
    let after = now_ms();
    let (first, last) = (before + FRESH_MS / 10 * 9, after + FRESH_MS);

    // Ten parts of the last tenth. Filling took a while, which is little beside one part.
    let mut parts = [0; 10];
    for expiry in run_all(&mut client, &for_all(KEYS, |key| format!("PEXPIRETIME key{key}"))) {
        let expiry = u64::try_from(expiry.number()).unwrap();
        assert!((first..=last).contains(&expiry), "{expiry} is not in {first}..={last}");
        parts[(usize::try_from((expiry - first) * 10 / (FRESH_MS / 10)).unwrap()).min(9)] += 1;
    }
    eprintln!("expiries of {KEYS} keys over the tenths of the last tenth of their time: {parts:?}");
    // 1,000 expected in each, with a standard deviation of 30: this is ten of them.
    assert!(parts.iter().all(|count| (700..=1300).contains(count)), "{parts:?}");

    // The soft deadline is what is shortened, and the key goes with it.
    let ttls = run_all(&mut client, &for_all(KEYS, |key| format!("PTTL key{key}")));
    let hits = run_all(&mut client, &for_all(KEYS, |key| format!("CACHE.GET key{key}")));
    let elapsed = i64::try_from(now_ms() - before).unwrap();
    for (ttl, hit) in ttls.iter().zip(&hits) {
        let (ttl, fresh_ms) = (ttl.number(), hit.triple().number);
        assert!(fresh_ms <= ttl && ttl - fresh_ms <= elapsed, "fresh for {fresh_ms}, there for {ttl}");
    }
}

#[test]
fn the_windows_begin_at_the_shortened_deadline_and_keep_their_length() {
    let server = Server::start();
    let mut client = server.client();
    for _ in 0..100 {
        client.run("CACHE.SET page v PX 1000000 SWR 5000000 JITTER 50");
        let (fresh_ms, ttl) = (client.ask("CACHE.GET page").number, client.run("PTTL page").number());
        let window = ttl - fresh_ms;
        assert!((450_000..=1_000_000).contains(&fresh_ms), "{fresh_ms}");
        assert!((4_950_000..=5_000_000).contains(&window), "{window}");
    }
}

#[test]
fn the_setting_is_for_those_who_name_none_and_zero_is_exact() {
    let server = Server::start();
    let mut client = server.client();
    let at = now_ms() + FRESH_MS;
    let mut shortened = |options: &str| -> Vec<u64> {
        let sets = for_all(200, |key| format!("CACHE.SET key{key} v PXAT {at} {options}"));
        assert!(run_all(&mut client, &sets).iter().all(Reply::is_ok));
        let expiries = run_all(&mut client, &for_all(200, |key| format!("PEXPIRETIME key{key}")));
        expiries.iter().map(|expiry| at - u64::try_from(expiry.number()).unwrap()).collect()
    };
    assert!(shortened("").iter().all(|by| *by == 0), "no jitter unless it is wanted");
    server.client().run("CONFIG SET corral.jitter-percent 20");
    let by = shortened("");
    assert!(by.iter().all(|by| *by <= FRESH_MS / 5) && by.iter().any(|by| *by > FRESH_MS / 10), "{by:?}");
    assert!(shortened("JITTER 0").iter().all(|by| *by == 0));
    let mut client = server.client();
    assert!(client.run("CACHE.SET for-ever v").is_ok());
    assert_eq!(client.ask("CACHE.GET for-ever").number, -1, "there is nothing to shorten");
}

#[test]
fn a_jitter_of_a_hundred_percent_is_allowed_and_more_is_not() {
    let server = Server::start();
    let mut client = server.client();
    for _ in 0..100 {
        assert!(client.run("CACHE.SET page v PX 1000000 JITTER 100").is_ok());
        let fresh_ms = client.ask("CACHE.GET page").number;
        assert!((0..=1_000_000).contains(&fresh_ms), "{fresh_ms}");
    }
    client.run("CACHE.SET page v");
    assert!(client.run("CACHE.SET page new JITTER 10").error().starts_with("ERR "), "there is nothing to shorten");
    for percent in ["101", "-1", "x", "", "99999999999999999999"] {
        let refused = client.call(&[b"CACHE.SET", b"page", b"new", b"PX", b"1000", b"JITTER", percent.as_bytes()]);
        assert!(refused.error().starts_with("ERR ") && refused.error().contains("JITTER"), "{refused:?}");
    }
    assert!(client.ask("CACHE.GET page").is("HIT", Some("v")), "a bad call changes nothing");
}
