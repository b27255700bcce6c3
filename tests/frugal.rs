//! What costs nothing: values that do not travel, values that are not read, names that are kept once.

use crate::harness::{eventually, Client, Reply, Server};

const MEGABYTE: i64 = 1 << 20;
const LARGE: i64 = 100 * MEGABYTE;

#[test]
fn an_invalidation_sends_no_value_to_replicas_however_often_it_is_repeated() {
    let server = Server::start();
    let replica = server.replica();
    let mut client = server.client();
    let value = vec![b'x'; 5 * MEGABYTE as usize];
    assert!(client.call(&[b"CACHE.SET", b"page", &value, b"PX", b"600000", b"SWR", b"600000"]).is_ok());
    let token = client.ask("CACHE.GETORLOCK page FORCE LEASE 60000").token();
    let before = client.info("master_repl_offset");
    for _ in 0..10 {
        assert_eq!(client.run("CACHE.INVALIDATE page").number(), 1);
    }
    assert!(client.run(&format!("CACHE.TOUCH page {token}")).is_nil());
    let token = client.ask("CACHE.GETORLOCK page").token();
    assert!(client.run(&format!("CACHE.TOUCH page {token} PX 600000")).is_ok());
    let sent = client.info("master_repl_offset") - before;
    assert!(sent < 100_000, "{sent} bytes were sent");
    replica.catch_up_with(&server);
    let there = replica.client().ask("CACHE.GET page");
    assert!(there.state == "HIT" && there.value.as_ref() == Some(&value));
}

/// The most memory that the server's process has had, in bytes. `None` where the system does not say.
fn peak(client: &mut Client) -> Option<i64> {
    let process = client.info("process_id");
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<i64>().ok()? << 10)
}

/// Stores one under `large`. Returns the peak until then. `None`, with a word, where the system does not say.
fn hold_a_large_string(client: &mut Client) -> Option<i64> {
    assert_eq!(client.run(&format!("SETRANGE large {} x", LARGE - 1)).number(), LARGE);
    let before = peak(client);
    if before.is_none() {
        eprintln!("skipped in part: this system does not tell a process's peak memory");
    }
    before
}

#[test]
fn what_describes_a_large_value_does_not_read_it() {
    let server = Server::start();
    let mut client = server.client();
    let Some(before) = hold_a_large_string(&mut client) else { return };
    let info = client.run("CACHE.INFO large");
    assert_eq!(info.field("value-bytes").number(), LARGE);
    assert_eq!(info.field("state").text(), "HIT");
    for line in [
        "CACHE.RENEW large 1 1000",
        "CACHE.RELEASE large 1",
        "CACHE.TOUCH large 1",
        "CACHE.FAIL large 1 down",
        "CACHE.PASS large 1",
        "CACHE.FILL large 1 small",
        "CACHE.INVALIDATE large",
        "CACHE.OUTDATE large 5",
    ] {
        let reply = client.run(line);
        assert!(reply != Reply::Closed, "{line}");
    }
    let grown = peak(&mut client).unwrap() - before;
    assert!(grown < LARGE / 2, "the process had {} MiB more", grown / MEGABYTE);
    assert!(client.run("STRLEN large").number() == LARGE, "and it is as it was");
}

#[test]
fn a_hit_on_a_large_string_takes_one_copy_for_its_reader() {
    let server = Server::start();
    let mut client = server.client();
    let Some(before) = hold_a_large_string(&mut client) else { return };
    let hit = client.ask("CACHE.GETORLOCK large");
    assert_eq!((hit.state.as_str(), hit.value.map(|value| value.len() as i64)), ("HIT", Some(LARGE)));
    let grown = peak(&mut client).unwrap() - before;
    assert!(grown < LARGE * 3 / 2, "the process had {} MiB more", grown / MEGABYTE);
}

#[test]
fn a_long_name_is_kept_once_beside_the_servers_own() {
    const NAME: i64 = 20 * MEGABYTE;
    let server = Server::start();
    // Who names it is silent afterwards: only then are its buffers given back.
    let (mut client, mut namer) = (server.client(), server.client());
    let name = vec![b'n'; NAME as usize];
    namer.call(&[b"EXISTS", &name]);
    let settled = |client: &mut Client| {
        let mut last = 0;
        eventually("the buffers are given back", || {
            std::thread::sleep(std::time::Duration::from_millis(300));
            let now = client.info("used_memory");
            (std::mem::replace(&mut last, now) - now).abs() < MEGABYTE
        });
        last
    };
    let before = settled(&mut client);
    let token = namer.call(&[b"CACHE.GETORLOCK", &name, b"LEASE", b"290000"]).triple().token();
    namer.run("PING");
    let mut grown = 0;
    eventually("no more than two names are kept", || {
        grown = client.info("used_memory") - before;
        grown < NAME * 5 / 2
    });
    eprintln!("{} MiB for a name of {} MiB", grown / MEGABYTE, NAME / MEGABYTE);
    assert!(namer.call(&[b"CACHE.FILL", &name, token.to_string().as_bytes(), b"html"]).is_ok());
}
