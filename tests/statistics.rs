//! What operators see: every number of INFO counts what its name says.

use std::collections::BTreeMap;

use crate::harness::{eventually, Client, Server};

/// The numbers of the module's section.
fn numbers(client: &mut Client) -> BTreeMap<String, i64> {
    let info = client.run("INFO corral").text();
    info.lines()
        .filter_map(|line| line.strip_prefix("corral_")?.split_once(':'))
        .filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
        .collect()
}

/// A percentile of the module's section, in milliseconds.
fn milliseconds(client: &mut Client, name: &str) -> f64 {
    let info = client.run("INFO corral").text();
    let field = format!("corral_{name}:");
    let value = info.lines().find_map(|line| line.strip_prefix(&field)).unwrap_or_else(|| panic!("no {field}"));
    value.trim().parse().unwrap()
}

/// Runs `act` and asserts by how much each named number grew, and that no other of those that only count did.
fn assert_counted(client: &mut Client, what: &str, expected: &[(&str, i64)], act: impl FnOnce(&mut Client)) {
    /// These say how it is now, or how the work was cut up.
    const NO_COUNTERS: [&str; 5] = ["waiters", "live_leases", "waiters_peak", "wake_batches", "build_ms_saved"];
    let before = numbers(client);
    act(client);
    let after = numbers(client);
    let grown: BTreeMap<&str, i64> = after
        .iter()
        .map(|(name, value)| (name.as_str(), value - before[name]))
        .filter(|(name, more)| *more != 0 && !NO_COUNTERS.contains(name) && !name.ends_with("_measured"))
        .collect();
    assert_eq!(grown, expected.iter().copied().collect(), "{what}");
}

#[test]
fn every_reset_is_seen_however_soon_it_comes() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page html");
    for _ in 0..5 {
        for _ in 0..4 {
            client.ask("CACHE.GETORLOCK page");
        }
        assert_eq!(numbers(&mut client)["hits"], 4);
        client.run("CONFIG RESETSTAT");
        assert_eq!(numbers(&mut client)["hits"], 0);
    }
}

#[test]
fn every_outcome_is_counted_once_and_under_its_own_name() {
    let server = Server::start();
    let mut client = server.client();
    let client = &mut client;
    let mut token = 0;
    assert_counted(client, "a miss", &[("misses", 1), ("leases_granted", 1)], |client| {
        token = client.ask("CACHE.GETORLOCK page LEASE 60000").token();
    });
    assert_counted(client, "one more is not parked", &[("misses", 1)], |client| {
        client.ask("CACHE.GETORLOCK page");
    });
    assert_counted(client, "another's token", &[("void_fills", 1)], |client| {
        client.run("CACHE.FILL page 1 html");
    });
    assert_counted(client, "a fill", &[("fills", 1)], |client| {
        client.run(&format!("CACHE.FILL page {token} html PX 600000 SWR 600000"));
    });
    assert_counted(client, "a hit", &[("hits", 1)], |client| {
        client.ask("CACHE.GETORLOCK page");
    });
    assert_counted(client, "a purge", &[], |client| {
        client.run("CACHE.INVALIDATE page");
    });
    assert_counted(client, "a refresh", &[("stale_hits", 1), ("leases_granted", 1)], |client| {
        token = client.ask("CACHE.GETORLOCK page").token();
    });
    assert_counted(client, "an old value", &[("stale_hits", 1), ("rebuilds_saved", 1)], |client| {
        client.ask("CACHE.GETORLOCK page");
    });
    assert_counted(client, "a failure", &[("failures", 1)], |client| {
        client.run(&format!("CACHE.FAIL page {token} down BACKOFF 0"));
    });
    token = client.ask("CACHE.GETORLOCK page").token();
    assert_counted(client, "a mark", &[("passes", 1)], |client| {
        client.run(&format!("CACHE.PASS page {token}"));
    });
    assert_eq!(numbers(client)["panics_caught"], 0);
}

/// Its caller rebuilds, so it is no hit; the value is there, so it is no miss; and it is not old.
#[test]
fn a_forced_refresh_of_a_fresh_value_is_a_grant_and_nothing_else() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page html PX 600000");
    assert_counted(&mut client, "a forced refresh", &[("leases_granted", 1)], |client| {
        client.ask("CACHE.GETORLOCK page FORCE").token();
    });
}

#[test]
fn waiters_are_counted_when_they_come_and_when_they_go() {
    let server = Server::start();
    let (mut holder, mut operator) = (server.client(), server.client());
    let mut waiters = server.clients(10);
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
    let now = numbers(&mut operator);
    assert_eq!((now["waiters"], now["waiters_peak"], now["live_leases"]), (10, 10, 1));

    // The holder is no waiter, and who is promoted did not save a rebuild.
    holder.run(&format!("CACHE.RELEASE page {token}"));
    let token = waiters[0].read().triple().token();
    let now = numbers(&mut operator);
    assert_eq!((now["waiters"], now["handovers"], now["rebuilds_saved"]), (9, 1, 0));
    waiters.pop().unwrap().hang_up();
    eventually("one less waits", || server.info("corral_waiters") == 8);
    assert_eq!(numbers(&mut operator)["waiters_served"], 1);

    holder.run(&format!("CACHE.FILL page {token} html"));
    for waiter in &mut waiters[1..] {
        assert!(waiter.read().triple().is("HIT", Some("html")));
    }
    let now = numbers(&mut operator);
    assert_eq!((now["waiters"], now["waiters_peak"], now["live_leases"]), (0, 10, 0));
    assert_eq!((now["waiters_served"], now["rebuilds_saved"], now["leases_granted"]), (9, 8, 2));
}

#[test]
fn an_expired_lease_is_counted_and_told_in_the_log_with_its_key_and_holder() {
    let server = Server::start();
    let mut client = server.client();
    let id = client.id();
    client.ask("CACHE.GETORLOCK page%s LEASE 50");
    eventually("the lease has run out", || server.info("corral_leases_expired") == 1);
    eventually("the log tells", || server.log().contains("page%s"));
    let log = server.log();
    let line = log.lines().find(|line| line.contains("page%s")).unwrap_or_default();
    assert!(line.contains(" ms ") && line.contains(&format!("client {id}")), "{line}");

    client.run("CONFIG SET corral.log-expired-leases no");
    client.ask("CACHE.GETORLOCK quiet LEASE 50");
    eventually("the lease has run out", || server.info("corral_leases_expired") == 2);
    assert!(!server.log().contains("quiet"));
}

#[test]
fn the_section_is_in_info_everything_and_its_names_are_fit_for_exporters() {
    let server = Server::start();
    let mut client = server.client();
    let names: Vec<String> = numbers(&mut client).into_keys().collect();
    let everything = client.run("INFO everything").text();
    for name in &names {
        assert!(everything.contains(&format!("corral_{name}:")), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{name}");
    }
    for time in ["build", "wait"] {
        for figure in ["p50", "p99", "p999", "max"] {
            assert!(everything.contains(&format!("corral_{time}_ms_{figure}:0.000")), "{time} {figure}");
        }
    }
    for name in [
        "hits",
        "stale_hits",
        "misses",
        "leases_granted",
        "live_leases",
        "waiters",
        "waiters_peak",
        "waiters_served",
        "rebuilds_saved",
        "handovers",
        "leases_expired",
        "fills",
        "void_fills",
        "failures",
        "passes",
        "early_refreshes",
        "wake_batches",
        "panics_caught",
    ] {
        assert!(names.iter().any(|found| found == name), "the contract names {name}");
    }
}

#[test]
fn build_and_wait_times_are_measured() {
    let server = Server::start();
    let mut holder = server.client();
    let mut waiters = server.clients(3);
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
    let built_ms = || server.client().run("CACHE.INFO page").field("lease").field("age-ms").number();
    eventually("the build takes a while", || built_ms() > 100);
    // A wait that its client gave up is a wait, too.
    waiters.pop().unwrap().hang_up();
    eventually("one less waits", || server.info("corral_waiters") == 2);
    assert_eq!(server.info("corral_waits_measured"), 1);
    holder.run(&format!("CACHE.FILL page {token} html"));
    for waiter in &mut waiters {
        assert!(waiter.read().triple().is("HIT", Some("html")));
    }
    assert_eq!((server.info("corral_builds_measured"), server.info("corral_waits_measured")), (1, 3));
    let build = milliseconds(&mut holder, "build_ms_max");
    assert!(build > 100.0);
    for (name, at_most) in [("build_ms_p50", build), ("build_ms_p99", build), ("wait_ms_p50", build + 1.0)] {
        let figure = milliseconds(&mut holder, name);
        assert!(figure > 0.0 && figure <= at_most, "{name} is {figure}, the build took {build} ms");
    }
}

#[test]
fn resetstat_begins_the_figures_anew() {
    let server = Server::start();
    let mut client = server.client();
    let mut waiter = server.client();
    let build = |client: &mut Client| {
        let token = client.ask("CACHE.GETORLOCK page LEASE 60000").token();
        client.run(&format!("CACHE.FILL page {token} html"));
        client.ask("CACHE.GETORLOCK page");
        client.run("DEL page");
    };
    for round in 1..=3 {
        build(&mut client);
        assert_eq!((numbers(&mut client)["hits"], numbers(&mut client)["builds_measured"]), (1, 1), "{round}");
        let token = client.ask("CACHE.GETORLOCK other LEASE 60000").token();
        server.park(&mut waiter, "CACHE.GETORLOCK other BLOCK 0");
        client.run("CONFIG RESETSTAT");
        let now = numbers(&mut client);
        for (name, value) in &now {
            let still = i64::from(["waiters", "waiters_peak", "live_leases"].contains(&name.as_str()));
            assert_eq!(*value, still, "{name} in round {round}");
        }
        client.run(&format!("CACHE.RELEASE other {token}"));
        waiter.read();
        client.run("DEL other");
        client.run("CONFIG RESETSTAT");
        // Once it is looked at, the mark of the statistics is set again by the server's housekeeping.
        let is_marked = || {
            let mut client = server.client();
            numbers(&mut client);
            client.run("INFO commandstats").text().contains("cmdstat_CACHE.VERSION")
        };
        eventually("the reset can be noticed again", is_marked);
    }
    // Counted after a reset that nobody has looked at yet, at least not before it.
    assert_eq!(numbers(&mut client)["hits"], 0);
    client.run("CONFIG RESETSTAT");
    build(&mut client);
    assert_eq!((numbers(&mut client)["hits"], numbers(&mut client)["builds_measured"]), (1, 1));
}

#[test]
fn what_follows_a_reset_is_counted_however_soon_it_comes() {
    let server = Server::start();
    let mut client = server.client();
    for _ in 0..20 {
        client.ask("CACHE.GETORLOCK old GROUP slow FORCE");
        numbers(&mut client);
        client.run("CONFIG RESETSTAT");
        let token = client.ask("CACHE.GETORLOCK new GROUP slow FORCE").token();
        let mut waiter = server.client();
        server.park(&mut waiter, "CACHE.GETORLOCK new BLOCK 0");
        client.run(&format!("CACHE.FILL new {token} html"));
        waiter.read();
        let top = client.run("CACHE.TOP BY grants");
        let keys: Vec<String> = top.list().iter().map(|costs| costs.field("key").text()).collect();
        assert_eq!(keys, ["new"]);
        let info = client.run("INFO corral").text();
        let group = info.lines().find(|line| line.starts_with("corral_group_slow:")).expect(&info);
        assert!(group.contains(",granted=1,"), "{group}");
        assert_eq!(numbers(&mut client)["waiters_peak"], 1);
        client.run("DEL old new");
    }
}

#[test]
fn refused_waiters_are_told_in_the_log_once_a_second_with_the_reason() {
    let server = Server::start();
    let mut client = server.client();
    server.client().ask("CACHE.GETORLOCK page%s LEASE 60000");
    client.run("CONFIG SET corral.max-waiters-per-key 0");
    for _ in 0..100 {
        client.ask("CACHE.GETORLOCK page%s BLOCK 60000");
    }
    assert_eq!(server.info("corral_waiters_refused"), 100);
    let log = server.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("waiter refused")).collect();
    assert!(lines[0].contains("page%s") && lines[0].contains("corral.max-waiters-per-key"), "{}", lines[0]);
    assert!(lines.len() < 50, "{} lines", lines.len());
}
