//! What persistence must bear: crash after crash, handovers in the log, large values.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::Server;

const AOF: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];

/// With an RDB preamble and with commands alone.
fn both_kinds() -> [Server; 2] {
    ["yes", "no"].map(|preamble| Server::with(&[AOF.as_slice(), &["--aof-use-rdb-preamble", preamble]].concat()))
}

#[test]
fn a_lease_and_its_fill_survive_one_crash_after_the_other() {
    for mut server in both_kinds() {
        let mut last = 0;
        for turn in 0..3 {
            let token = server.client().ask("CACHE.GETORLOCK page FORCE LEASE 60000").token();
            assert!(token > last, "{token} after {last}");
            last = token;
            server.restart();
            assert!(server.client().run(&format!("CACHE.FILL page {token} value{turn} PX 3600000")).is_ok());
            server.restart();
            let hit = server.client().ask("CACHE.GETORLOCK page");
            assert!(hit.is("HIT", Some(&format!("value{turn}"))), "{hit:?}");
        }
    }
}

#[test]
fn a_lease_that_was_handed_over_comes_back_as_the_new_holders() {
    for mut server in both_kinds() {
        let (mut holder, mut waiter) = (server.client(), server.client());
        let first = holder.ask("CACHE.GETORLOCK page LEASE 100").token();
        server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0 LEASE 60000");
        let second = waiter.read().triple().token();
        server.restart();
        let mut client = server.client();
        assert!(client.run(&format!("CACHE.FILL page {first} late")).is_nil());
        assert!(client.run(&format!("CACHE.FILL page {second} html")).is_ok());
    }
}

#[test]
fn a_lease_that_ran_out_while_the_server_was_down_can_be_taken_and_then_the_late_fill_is_void() {
    for mut server in both_kinds() {
        let mut holder = server.client();
        holder.run("CACHE.SET page old PX 3600000");
        let first = holder.ask("CACHE.GETORLOCK page FORCE LEASE 1").token();
        server.restart();
        let mut client = server.client();
        let second = client.until("CACHE.GETORLOCK page FORCE", "REFRESH").token();
        assert!(second > first, "{second} after {first}");
        assert!(client.run(&format!("CACHE.FILL page {first} late")).is_nil());
        assert!(client.run(&format!("CACHE.FILL page {second} new")).is_ok());
    }
}

#[test]
fn failure_back_off_with_an_old_value_comes_back() {
    for mut server in both_kinds() {
        let mut client = server.client();
        client.run("CACHE.SET page old PXAT 1 SIE 9007199254740000");
        let token = client.ask("CACHE.GETORLOCK page").token();
        client.run(&format!("CACHE.FAIL page {token} down BACKOFF 3600000"));
        for rewritten in [false, true] {
            server.restart();
            let mut client = server.client();
            assert!(client.ask("CACHE.GETORLOCK page").is("STALE", Some("old")), "rewritten: {rewritten}");
            let told = client.ask("CACHE.GETORLOCK page NOSTALE");
            assert!(told.is("FAIL", Some("down")) && told.number > 3_000_000, "rewritten: {rewritten}, {told:?}");
            client.rewrite_the_aof();
        }
    }
}

#[test]
fn a_value_of_sixteen_megabytes_survives_everything() {
    let value: Vec<u8> = (0..16_u32 << 20).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for mut server in both_kinds() {
        let mut client = server.client();
        let token = client.ask("CACHE.GETORLOCK big").token().to_string();
        assert!(client.call(&[b"CACHE.FILL", b"big", token.as_bytes(), &value, b"PX", b"3600000"]).is_ok());
        let is_back = |server: &Server, what: &str| {
            let hit = server.client().ask("CACHE.GETORLOCK big");
            assert!(hit.state == "HIT" && hit.value.as_deref() == Some(&value), "{what}");
        };
        assert!(client.run("DEBUG RELOAD").is_ok());
        is_back(&server, "reloaded");
        server.restart();
        is_back(&server, "restarted");
        server.client().rewrite_the_aof();
        server.restart();
        is_back(&server, "rewritten");
    }
}

#[test]
fn memory_usage_grows_with_the_value() {
    let server = Server::start();
    let mut client = server.client();
    let mut before = 0;
    for bytes in [0, 1_000, 100_000, 10_000_000] {
        assert!(client.call(&[b"CACHE.SET", b"page", &vec![b'x'; bytes]]).is_ok());
        let usage = client.run("MEMORY USAGE page").number();
        assert!(usage > before && usage >= bytes as i64, "{bytes} bytes take {usage} after {before}");
        before = usage;
    }
}

/// Each rewrite takes a picture of the keys while they change, and what changes meanwhile goes into the next file.
#[test]
fn rewrites_of_the_aof_under_load_lose_nothing_that_was_acknowledged() {
    const WRITERS: usize = 8;
    const KEYS: usize = 50;
    const REWRITES: usize = 4;
    for mut server in both_kinds() {
        // Enough to make a rewrite take a while.
        let mut client = server.client();
        for index in 0..20_000 {
            client.send(&format!("CACHE.SET old{index} value PX 3600000 SWR 5000"));
        }
        assert!((0..20_000).all(|_| client.read().is_ok()));
        let ends = AtomicBool::new(false);
        let (written, tokens) = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let (mut client, ends) = (server.client(), &ends);
                    scope.spawn(move || {
                        let mut version = 0;
                        while !ends.load(Ordering::Relaxed) {
                            version += 1;
                            for key in 0..KEYS {
                                let key = format!("page{writer}:{key}");
                                let token = client.ask(&format!("CACHE.GETORLOCK {key} FORCE LEASE 60000")).token();
                                let fill = format!("CACHE.FILL {key} {token} {version} PX 3600000");
                                assert!(client.run(&fill).is_ok());
                            }
                        }
                        // And a lease that is out when the server is killed.
                        (version, client.ask(&format!("CACHE.GETORLOCK held{writer} LEASE 300000")).token())
                    })
                })
                .collect();
            for _ in 0..REWRITES {
                client.rewrite_the_aof();
            }
            ends.store(true, Ordering::Relaxed);
            writers.into_iter().map(|writer| writer.join().unwrap()).unzip::<_, _, Vec<u64>, Vec<i64>>()
        });
        eprintln!("{written:?} rounds of {KEYS} fills during {REWRITES} rewrites");
        server.restart();
        let mut client = server.client();
        for (writer, version) in written.iter().enumerate() {
            for key in 0..KEYS {
                let hit = client.ask(&format!("CACHE.GET page{writer}:{key}"));
                assert!(hit.is("HIT", Some(&version.to_string())), "page{writer}:{key}: {hit:?}, not {version}");
            }
            let fill = format!("CACHE.FILL held{writer} {} html", tokens[writer]);
            assert!(client.run(&fill).is_ok(), "the lease of writer {writer}");
        }
        assert_eq!(client.run("DBSIZE").number() as usize, 20_000 + WRITERS * KEYS + WRITERS);
    }
}
