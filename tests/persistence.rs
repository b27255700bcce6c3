//! What comes back after a reload or a restart: entries, times and live leases.

use crate::harness::{eventually, picture, Client, Reply, Server, Stock};

/// Every acknowledged write is on disk.
const AOF: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
/// Rewritten as commands, which is what the module itself emits, instead of as an RDB file.
const NO_PREAMBLE: [&str; 2] = ["--aof-use-rdb-preamble", "no"];

/// Fills a server, has it end as in a power cut, and looks at what came back.
fn survives_a_power_cut(options: &[&str], before_the_cut: fn(&mut Client)) {
    let mut server = Server::with(options);
    let mut client = server.client();
    let stock = Stock::furnish(&mut client);
    before_the_cut(&mut client);
    let before = picture(&mut client);
    server.restart();
    let mut client = server.client();
    assert_eq!(picture(&mut client), before);
    goes_on(&server, &stock);
}

/// The leases are as live as before: their holders can fill, waiters join them, and nobody else is granted them.
fn goes_on(server: &Server, stock: &Stock) {
    let (mut client, mut waiter) = (server.client(), server.client());
    assert!(client.ask("CACHE.GETORLOCK stale NOSTALE").token() > stock.forced, "tokens grow");
    assert!(client.ask("CACHE.GETORLOCK passed").is("PASS", None));
    assert!(client.ask("CACHE.GETORLOCK failed").is("FAIL", Some("down")));
    assert!(client.ask("CACHE.GETORLOCK forced FORCE").is("HIT", Some("value")));
    assert!(client.ask("CACHE.GETORLOCK held").is("WAIT", None));
    server.park(&mut waiter, "CACHE.GETORLOCK held BLOCK 0");
    assert!(client.run(&format!("CACHE.FILL held {} html", stock.held)).is_ok());
    assert!(waiter.read().triple().is("HIT", Some("html")));
    assert!(client.run(&format!("CACHE.FILL forced {} html", stock.forced)).is_ok());
    assert!(client.ask("CACHE.GET forced").is("HIT", Some("html")));
}

#[test]
fn everything_comes_back_from_the_aof() {
    survives_a_power_cut(&AOF, |_| {});
}

#[test]
fn everything_comes_back_from_a_rewritten_aof_with_an_rdb_preamble() {
    survives_a_power_cut(&AOF, Client::rewrite_the_aof);
}

#[test]
fn everything_comes_back_from_a_rewritten_aof_of_commands() {
    survives_a_power_cut(&[AOF.as_slice(), &NO_PREAMBLE].concat(), Client::rewrite_the_aof);
}

#[test]
fn everything_comes_back_from_an_rdb_file() {
    survives_a_power_cut(&["--save", "", "--appendonly", "no"], |client| assert!(client.run("SAVE").is_ok()));
}

#[test]
fn everything_stays_through_debug_reload_and_so_do_the_waiters() {
    let server = Server::start();
    let (mut client, mut waiter) = (server.client(), server.client());
    let stock = Stock::furnish(&mut client);
    server.park(&mut waiter, "CACHE.GETORLOCK held BLOCK 0");
    let before = picture(&mut client);
    assert!(client.run("DEBUG RELOAD").is_ok());
    assert_eq!(picture(&mut client), before);
    assert!(!waiter.has_reply());
    goes_on(&server, &stock);
    assert!(waiter.read().triple().is("HIT", Some("html")));
}

#[test]
fn a_loaded_lease_ends_by_its_deadline() {
    let mut server = Server::with(&AOF);
    for how in ["reload", "restart"] {
        let mut client = server.client();
        let token = client.ask(&format!("CACHE.GETORLOCK {how} LEASE 1500")).token();
        if how == "reload" {
            client.run("DEBUG RELOAD");
        } else {
            server.restart();
        }
        // Parked on the old lease, or granted the next one: the restart may have taken longer than the lease.
        let lock = server.client().ask(&format!("CACHE.GETORLOCK {how} BLOCK 0"));
        assert!(lock.is("LOCK", None) && lock.token() > token, "{how}: {lock:?} after {token}");
        assert!(server.client().run(&format!("CACHE.FILL {how} {token} late")).is_nil());
    }
}

#[test]
fn a_fill_after_the_restart_lands_though_the_deadline_passed_meanwhile() {
    let mut server = Server::with(&AOF);
    let mut client = server.client();
    client.run("CACHE.SET page old PX 20 SWR 600000");
    client.until("CACHE.GET page", "STALE");
    let token = client.ask("CACHE.GETORLOCK page LEASE 1").token();
    server.restart();
    let mut client = server.client();
    eventually("the lease has run out", || client.ask("CACHE.GET page").number == 0);
    assert!(client.run(&format!("CACHE.FILL page {token} late")).is_ok(), "nobody took over");
}

// Live leases come back from a restart. A TIED one stays until its deadline, or until its holder, on whatever
// connection, ends it.
#[test]
fn a_tied_lease_ends_with_the_server_that_knew_its_connection_and_a_late_fill_still_lands() {
    let mut server = Server::with(&AOF);
    let token = server.client().ask("CACHE.GETORLOCK gone TIED LEASE 60000").token();
    let mut holder = server.client();
    // The connection above is closed, and that is in the AOF too.
    holder.until("CACHE.GETORLOCK gone TIED LEASE 60000", "LOCK");
    let tied = holder.ask("CACHE.GETORLOCK page TIED LEASE 60000").token();
    server.restart();
    let mut client = server.client();
    eventually("the tie has ended", || client.run("CACHE.LEASES").list().is_empty());
    assert!(client.run(&format!("CACHE.FILL page {tied} html")).is_ok(), "nobody took over");
    assert!(client.run(&format!("CACHE.FILL gone {token} late")).is_nil());
}

#[test]
fn what_was_voided_stays_void_after_the_restart() {
    let mut server = Server::with(&AOF);
    let mut client = server.client();
    let mut tokens = Vec::new();
    for way in ["DEL page", "CACHE.INVALIDATE page", "CACHE.SET page value", "RENAME page elsewhere", "FLUSHALL"] {
        let token = client.ask("CACHE.GETORLOCK page FORCE").token();
        client.run(way);
        tokens.push(token);
    }
    server.restart();
    let mut client = server.client();
    for token in tokens {
        for key in ["page", "elsewhere"] {
            assert!(client.run(&format!("CACHE.FILL {key} {token} late")).is_nil());
        }
    }
    assert_eq!(client.run("DBSIZE").number(), 0);
}

#[test]
fn no_acknowledged_fill_is_lost_when_the_server_is_killed_among_them() {
    const FILLS: usize = 3000;
    const ACKNOWLEDGED: usize = 500;
    let mut server = Server::with(&AOF);
    let mut client = server.client();
    let fills: Vec<String> = (0..FILLS)
        .map(|index| {
            let token = client.ask(&format!("CACHE.GETORLOCK page{index}")).token();
            format!("CACHE.FILL page{index} {token} value{index}")
        })
        .collect();
    let fills: Vec<&str> = fills.iter().map(String::as_str).collect();
    // Many packets, so that the server is in the middle of them when it is killed.
    for some in fills.chunks(50) {
        client.send_together(some);
    }
    let mut acknowledged = (0..ACKNOWLEDGED).filter(|_| client.read().is_ok()).count();
    assert_eq!(acknowledged, ACKNOWLEDGED);
    server.restart();
    while client.read().is_ok() {
        acknowledged += 1;
    }
    let mut client = server.client();
    for index in 0..acknowledged {
        let value = format!("value{index}");
        assert!(client.ask(&format!("CACHE.GET page{index}")).is("HIT", Some(&value)), "{index} of {acknowledged}");
    }
    eprintln!("{acknowledged} of {FILLS} were acknowledged before the server was killed");
}

/// Relies on one thing inside the AOF: a token is seven bytes there, lowest first.
#[test]
fn tokens_grow_beyond_the_loaded_ones_even_if_the_clock_went_back() {
    const HOUR_US: i64 = 3_600_000_000;
    let mut server = Server::with(&[AOF.as_slice(), &NO_PREAMBLE].concat());
    let token = server.client().ask("CACHE.GETORLOCK page LEASE 60000").token();
    // An hour of microseconds more: as if the clock had been an hour ahead when it was granted.
    let ahead = token + HOUR_US;
    server.restart_after(|directory| {
        let mut changed = 0;
        for file in std::fs::read_dir(directory.join("appendonlydir")).unwrap() {
            let path = file.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            while let Some(at) = bytes.windows(7).position(|window| window == &token.to_le_bytes()[..7]) {
                bytes[at..at + 7].copy_from_slice(&ahead.to_le_bytes()[..7]);
                changed += 1;
            }
            std::fs::write(&path, bytes).unwrap();
        }
        assert!(changed > 0, "the token is in the AOF");
    });
    let mut client = server.client();
    assert!(client.run(&format!("CACHE.FILL page {token} html")).is_nil(), "it is another's now");
    let next = client.ask("CACHE.GETORLOCK other").token();
    assert!(next > ahead, "{next} after {ahead}");
    assert!(client.run(&format!("CACHE.FILL page {ahead} html")).is_ok());
}

#[test]
fn a_restart_in_the_middle_of_a_rewrite_loses_nothing() {
    let mut server = Server::with(&[AOF.as_slice(), &NO_PREAMBLE].concat());
    let mut client = server.client();
    let stock = Stock::furnish(&mut client);
    for index in 0..2000 {
        let reply = client.run(&format!("CACHE.SET page{index} value PX 3600000 SWR 5"));
        assert_ne!(reply, Reply::Nil);
    }
    client.run("BGREWRITEAOF");
    for index in 0..200 {
        client.run(&format!("CACHE.SET page{index} newer PX 3600000"));
    }
    let before = picture(&mut client);
    server.restart();
    assert_eq!(picture(&mut server.client()), before);
    goes_on(&server, &stock);
}
