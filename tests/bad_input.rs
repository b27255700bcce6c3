//! Calls that are refused: a clear error, and nothing changed. The table is `data/bad-input.txt`.

use std::collections::HashMap;

use crate::harness::story::{fits, rows, shown};
use crate::harness::{picture, Client, Reply, Server, Stock};

const TABLE: &str = include_str!("data/bad-input.txt");

/// The tokens, as the table names them.
fn tokens(stock: &Stock) -> HashMap<&'static str, String> {
    HashMap::from([("held", stock.held.to_string()), ("forced", stock.forced.to_string())])
}

/// All that a call could have changed: contents and leases, deadlines, counts.
fn state(client: &mut Client) -> Vec<String> {
    let mut state = picture(client);
    state.push(format!("{:?}", client.run("DBSIZE")));
    state.push(client.run("OBJECT ENCODING string").text());
    let info = client.run("INFO corral").text();
    let counted = ["corral_leases_granted", "corral_live_leases", "corral_waiters", "corral_fills", "corral_failures"];
    state.extend(info.lines().filter(|line| counted.iter().any(|name| line.starts_with(name))).map(str::to_owned));
    state
}

#[test]
fn a_refused_call_has_a_clear_error_and_changes_nothing() {
    let server = Server::start();
    let (mut client, mut observer) = (server.client(), server.client());
    let tokens = tokens(&Stock::furnish(&mut client));
    let before = state(&mut observer);
    let mut wrong = Vec::new();
    let token = |name: &str| tokens.get(name).map(|token| token.clone().into_bytes()).ok_or(format!("no token {name}"));
    let rows = rows(TABLE, token).unwrap();
    for row in &rows {
        let words: Vec<&[u8]> = row.words.iter().map(Vec::as_slice).collect();
        let got = shown(&client.call(&words));
        if !fits(&row.expected, &got) {
            wrong.push(format!("line {}: {}\n  expected {}\n  got      {got}", row.number, row.call, row.expected));
        }
        assert_eq!(state(&mut observer), before, "changed by {}, which was answered {got}", row.call);
    }
    eprintln!("{} bad calls", rows.len());
    assert!(wrong.is_empty(), "{} of {} calls:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    // The leases are still their holders'.
    assert!(client.run(&format!("CACHE.FILL held {} value", tokens["held"])).is_ok());
    assert!(client.run(&format!("CACHE.FILL forced {} value", tokens["forced"])).is_ok());
}

#[test]
fn a_refused_call_in_a_transaction_or_a_script_changes_nothing_either() {
    let server = Server::start();
    let (mut client, mut observer) = (server.client(), server.client());
    let tokens = tokens(&Stock::furnish(&mut client));
    let before = state(&mut observer);
    let held = &tokens["held"];
    client.run("MULTI");
    for line in [
        "CACHE.GETORLOCK nothing LEASE 0".to_owned(),
        format!("CACHE.FILL held {held} value PX -1"),
        "CACHE.GETORLOCK list".to_owned(),
        "CACHE.APPLY held header".to_owned(),
    ] {
        assert_eq!(client.run(&line).text(), "QUEUED");
    }
    let replies = client.run("EXEC");
    for (reply, code) in replies.list().iter().zip(["ERR ", "ERR ", "WRONGTYPE ", "ERR "]) {
        assert!(reply.error().starts_with(code), "{reply:?}");
    }
    for script in [
        "return redis.call('CACHE.GETORLOCK', KEYS[1], 'LEASE', '0')",
        "return redis.call('CACHE.FILL', KEYS[1], ARGV[1], 'value', 'PX', '-1')",
        "return redis.call('CACHE.APPLY', KEYS[1], 'header')",
    ] {
        let reply = client.call(&[b"EVAL", script.as_bytes(), b"1", b"held", held.as_bytes()]);
        assert!(matches!(reply, Reply::Error(_)), "{script}: {reply:?}");
    }
    assert_eq!(state(&mut observer), before);
}

#[test]
fn words_of_megabytes_are_refused_in_a_short_sentence() {
    let server = Server::start();
    let (mut client, mut observer) = (server.client(), server.client());
    let tokens = tokens(&Stock::furnish(&mut client));
    let before = state(&mut observer);
    let held = tokens["held"].as_bytes();
    let long = vec![b'9'; 4 << 20];
    let calls: [&[&[u8]]; 8] = [
        &[b"CACHE.GETORLOCK", b"nothing", &long],
        &[b"CACHE.GETORLOCK", b"nothing", b"LEASE", &long],
        &[b"CACHE.GETORLOCK", b"fresh", b"EARLY", &long],
        &[b"CACHE.FILL", b"held", &long, b"value"],
        &[b"CACHE.FILL", b"held", held, b"value", &long],
        &[b"CACHE.FILL", b"held", held, b"value", b"PX", &long],
        &[b"CACHE.FAIL", b"held", held, &long],
        &[b"CACHE.MGETORLOCK", &long, b"nothing"],
    ];
    for call in calls {
        let reply = client.call(call);
        assert!(reply.error().starts_with("ERR ") && reply.error().len() < 300, "{reply:?}");
    }
    assert_eq!(state(&mut observer), before);
}

#[test]
fn a_call_of_ten_thousand_words_is_refused_and_one_of_ten_thousand_keys_is_not() {
    let server = Server::start();
    let mut client = server.client();
    let mut words: Vec<&[u8]> = vec![b"CACHE.GETORLOCK", b"page"];
    words.extend([b"FORCE".as_slice(); 10_000]);
    assert!(client.call(&words).error().starts_with("ERR "));
    assert_eq!(client.run("DBSIZE").number(), 0);
    let mut words: Vec<&[u8]> = vec![b"CACHE.INVALIDATE"];
    words.extend([b"page".as_slice(); 10_000]);
    assert_eq!(client.call(&words).number(), 0);
}

#[test]
fn the_ends_of_every_range_are_allowed() {
    let server = Server::start();
    let mut client = server.client();
    for options in [
        "EX 1",
        "EX 9007199254740",
        "PX 1",
        "PX 9007199254740991",
        "EXAT 9007199254740",
        "PXAT 9007199254740991",
        "PX 9007199254740991 SWR 9007199254740991 SIE 9007199254740991 JITTER 100",
        "EXAT 1 SWR 0 SIE 0 JITTER 0",
        "PXAT 1 SWR 9007199254740991",
    ] {
        for command in ["FILL", "SET", "TOUCH"] {
            client.run("DEL page");
            let line = match command {
                "SET" => format!("CACHE.SET page value {options}"),
                "FILL" => {
                    let token = client.ask("CACHE.GETORLOCK page").token();
                    format!("CACHE.FILL page {token} value {options}")
                }
                _ => {
                    client.run("CACHE.SET page value");
                    let token = client.ask("CACHE.GETORLOCK page FORCE").token();
                    format!("CACHE.TOUCH page {token} {options}")
                }
            };
            assert!(client.run(&line).is_ok(), "{line}");
        }
    }
    // Sums of them saturate: the value neither vanishes nor lives for ever.
    assert!(client.run("CACHE.SET page value PX 9007199254740991 SWR 9007199254740991").is_ok());
    let hit = client.ask("CACHE.GETORLOCK page");
    assert!(hit.is("HIT", Some("value")) && hit.number > 1 << 50, "{hit:?}");
    assert!(client.run("PTTL page").number() > 1 << 50);

    client.run("DEL page");
    let token = client.ask("CACHE.GETORLOCK page LEASE 300000 BLOCK 9007199254740991 EARLY 100").token();
    assert!((1..=300_000).contains(&client.run(&format!("CACHE.RENEW page {token} 9007199254740991")).number()));
    let told = client.run(&format!("CACHE.FAIL page {token} down BACKOFF 86400000")).triple();
    assert!((86_000_000..=86_400_000).contains(&told.number), "{told:?}");
    // Its placeholder is gone before one could use it.
    client.ask("CACHE.GETORLOCK short LEASE 1 EARLY 0").token();
    let token = client.ask("CACHE.GETORLOCK other").token();
    assert!(client.run(&format!("CACHE.PASS other {token} PX 9007199254740991")).is_ok());
    assert!(client.ask("CACHE.GET other").number > 1 << 50);
}
