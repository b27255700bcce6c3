//! What is past is past, on replicas too: a value past its windows serves nobody and comes back by nothing, and a key that
//! holds no value goes with the last thing that it holds.

use crate::harness::{eventually, picture, Client, Reply, Server};

/// A replica that has seen all, and holds the same.
fn assert_the_same(server: &Server, replica: &Server) {
    replica.catch_up_with(server);
    assert_eq!(picture(&mut replica.client()), picture(&mut server.client()));
}

#[test]
fn a_value_past_its_windows_serves_nobody_though_its_lease_is_out() {
    let server = Server::start();
    let replica = server.replica();
    let (mut client, mut reader) = (server.client(), replica.client());
    client.run("CACHE.SET page old PX 50 SIE 200");
    let token = client.until("CACHE.GETORLOCK page LEASE 60000", "LOCK").token();
    for client in [&mut client, &mut reader] {
        // The replica may not have heard of the lease yet.
        eventually("the lease is out beside nothing to serve", || {
            let seen = client.ask("CACHE.GET page");
            seen.is("MISS", None) && seen.number > 0
        });
        assert_eq!(client.run("CACHE.INFO page").field("state").text(), "MISS");
    }
    assert!(client.run(&format!("CACHE.TOUCH page {token} PX 60000")).is_nil());
    assert!(client.ask("CACHE.GET page").is("MISS", None));
    assert_the_same(&server, &replica);
    assert!(client.run(&format!("CACHE.FILL page {token} new PX 60000")).is_ok());
    assert!(client.ask("CACHE.GET page").is("HIT", Some("new")));
}

#[test]
fn a_value_past_its_windows_serves_nobody_though_its_key_backs_off() {
    let server = Server::start();
    let replica = server.replica();
    let (mut client, mut reader) = (server.client(), replica.client());
    client.run("CACHE.SET page old PX 1 SIE 1500");
    let token = client.until("CACHE.GETORLOCK page LEASE 60000", "LOCK").token();
    let told = client.ask(&format!("CACHE.FAIL page {token} down BACKOFF 60000"));
    assert!(told.is("STALE", Some("old")), "{told:?}");
    for client in [&mut client, &mut reader] {
        let failed = client.until("CACHE.GET page", "FAIL");
        assert!(failed.is("FAIL", Some("down")), "{failed:?}");
    }
    assert!(client.ask("CACHE.GETORLOCK page").is("FAIL", Some("down")));
    assert_the_same(&server, &replica);
}

#[test]
fn a_value_past_what_expire_set_comes_back_by_no_touch() {
    let server = Server::start();
    let replica = server.replica();
    let (mut client, mut reader) = (server.client(), replica.client());
    client.run("CACHE.SET page old EX 100");
    assert_eq!(client.run("PEXPIRE page 200").number(), 1);
    // Fresh still, or gone by now on a busy machine: either way a lease is out.
    let token = client.ask("CACHE.GETORLOCK page FORCE LEASE 60000").token();
    for client in [&mut client, &mut reader] {
        client.until("CACHE.GET page", "MISS");
    }
    assert!(client.run(&format!("CACHE.TOUCH page {token} PX 60000")).is_nil());
    assert!(client.ask("CACHE.GET page").is("MISS", None));
    assert_the_same(&server, &replica);
}

#[test]
fn the_memory_of_a_value_past_its_windows_goes_when_its_lease_ends() {
    const VALUE_BYTES: usize = 1 << 20;
    let server = Server::start();
    let mut client = server.client();
    assert!(client.call(&[b"CACHE.SET", b"page", &vec![b'x'; VALUE_BYTES], b"PX", b"20"]).is_ok());
    client.until("CACHE.GETORLOCK page LEASE 400", "LOCK");
    eventually("the value's memory is free", || match client.run("MEMORY USAGE page") {
        Reply::Nil => true,
        bytes => bytes.number() < VALUE_BYTES as i64 / 10,
    });
}

/// What a key can hold without a value, each for a while.
fn hold(client: &mut Client, what: &str) {
    let token = match what {
        "floor" => 0,
        "once" => client.ask("CACHE.GETORLOCK page LEASE 800 ONCE 800").token(),
        _ => client.ask("CACHE.GETORLOCK page LEASE 800").token(),
    };
    let reply = match what {
        "back-off" => client.run(&format!("CACHE.FAIL page {token} down BACKOFF 1600")),
        "mark" => client.run(&format!("CACHE.PASS page {token} PX 1600")),
        "floor" => client.run("CACHE.OUTDATE page 5 PX 1600"),
        _ => return,
    };
    assert!(!matches!(reply, Reply::Error(_)), "{what}: {reply:?}");
}

#[test]
fn a_key_without_a_value_goes_whatever_end_it_was_given() {
    let mut server = Server::start();
    let replica = server.replica();
    let mut client = server.client();
    for what in ["lease", "once", "back-off", "mark", "floor"] {
        for change in ["PERSIST page", "PEXPIRE page 3600000", "RESTORE"] {
            hold(&mut client, what);
            let changed = match change {
                "RESTORE" => {
                    let Reply::Text(payload) = client.run("DUMP page") else {
                        eprintln!("{what} was gone before it was dumped");
                        continue;
                    };
                    client.call(&[b"RESTORE", b"page", b"0", &payload, b"REPLACE"]);
                    client.call(&[b"RESTORE", b"twin", b"0", &payload])
                }
                change => client.run(change),
            };
            assert!(!matches!(changed, Reply::Error(_)), "{what}, {change}: {changed:?}");
            // Not by the server's own expiry: the key has a late end, or none.
            eventually(&format!("{what} goes after {change}"), || client.run("DBSIZE").number() == 0);
            replica.catch_up_with(&server);
            assert_eq!(replica.client().run("DBSIZE").number(), 0, "{what}, {change}");
        }
    }
    assert_eq!(server.info("corral_panics_caught"), 0);
    assert!(server.is_alive());
}
