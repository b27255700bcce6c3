//! The settings: their names, defaults and ranges, and that every one can be changed at run time.

use crate::harness::{module, Client, Server};

/// Name, default, what else is allowed, what is not.
const SETTINGS: [(&str, &str, &[&str], &[&str]); 17] = [
    // Above lease-max-ms it is refused.
    ("lease-ms", "10000", &["300000", "1"], &["0", "-1", "86400001", "ten", ""]),
    ("lease-max-ms", "300000", &["10000", "86400000"], &["0", "-1", "86400001", "1.5"]),
    ("swr-ms", "0", &["0", "9007199254740991"], &["-1", "9007199254740992", "x"]),
    ("sie-ms", "0", &["0", "9007199254740991"], &["-1", "9007199254740992", "x"]),
    ("jitter-percent", "0", &["0", "100"], &["-1", "101", "5%"]),
    ("early-beta", "0", &["0", "0.5", "1", "100"], &["-1", "101", "1e3", "nan", "inf", "one", ""]),
    ("backoff-ms", "1000", &["0", "86400000"], &["-1", "86400001", "soon"]),
    ("backoff-max-ms", "0", &["0", "86400000"], &["-1", "86400001", "soon"]),
    ("pass-ms", "60000", &["1", "9007199254740991"], &["0", "-1", "9007199254740992"]),
    ("max-waiters", "10000", &["0", "1000000"], &["-1", "1000001", "all"]),
    ("max-waiters-per-key", "10000", &["0", "1000000"], &["-1", "1000001", "all"]),
    ("waiters-memory-percent", "3", &["0", "100"], &["-1", "101", "3%"]),
    ("tied-default", "no", &["yes", "no"], &["maybe", "1", ""]),
    ("groups", "", &["a max 1", "a max 1, b fails 2", ""], &["a max", "a max x", "other max 1", "a max 1,"]),
    ("max-tags", "100000", &["0", "10000000"], &["-1", "10000001", "all"]),
    ("floor-ms", "60000", &["1", "604800000"], &["0", "-1", "604800001"]),
    ("log-expired-leases", "yes", &["no", "yes"], &["maybe", "1", ""]),
];

#[test]
fn every_setting_has_its_default_its_range_and_a_clear_error() {
    let server = Server::start();
    let mut client = server.client();
    for (name, default, allowed, refused) in SETTINGS {
        let name = format!("corral.{name}");
        let value = |client: &mut Client| client.run(&format!("CONFIG GET {name}")).field(&name).text();
        assert_eq!(value(&mut client), default, "{name}");
        for good in allowed {
            assert!(client.call(&[b"CONFIG", b"SET", name.as_bytes(), good.as_bytes()]).is_ok(), "{name} {good}");
            assert_eq!(value(&mut client), *good, "{name}");
        }
        let last = value(&mut client);
        for bad in refused {
            let error = client.call(&[b"CONFIG", b"SET", name.as_bytes(), bad.as_bytes()]);
            assert!(error.error().starts_with("ERR "), "{name} {bad}: {error:?}");
            assert!(error.error().contains(name.trim_start_matches("corral.")), "{name} {bad}: {error:?}");
            assert_eq!(value(&mut client), last, "{name} {bad}");
        }
    }
    assert_eq!(client.run("CONFIG GET corral.*").list().len(), 2 * SETTINGS.len(), "there are no others");
}

#[test]
fn a_configuration_file_sets_them_and_rewrite_keeps_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("given.conf");
    std::fs::write(&path, "save \"\"\ncorral.lease-ms 1234\ncorral.early-beta 0.5\ncorral.log-expired-leases no\n")
        .unwrap();
    let server = Server::with_file(&path);
    let mut client = server.client();
    let is = |client: &mut Client, name: &str, value: &str| {
        client.run(&format!("CONFIG GET {name}")).field(name).text() == value
    };
    assert!(is(&mut client, "corral.lease-ms", "1234"));
    assert!(is(&mut client, "corral.early-beta", "0.5"));
    assert!(is(&mut client, "corral.log-expired-leases", "no"));
    client.ask("CACHE.GETORLOCK page");
    let wait = client.ask("CACHE.GETORLOCK page");
    assert!((1..=1234).contains(&wait.number), "{wait:?}");

    client.run("CONFIG SET corral.swr-ms 77 corral.early-beta 1.25");
    assert!(client.run("CONFIG REWRITE").is_ok());
    let again = Server::with_file(&path);
    let mut client = again.client();
    assert!(is(&mut client, "corral.lease-ms", "1234"));
    assert!(is(&mut client, "corral.swr-ms", "77"));
    assert!(is(&mut client, "corral.early-beta", "1.25"));
}

#[test]
fn what_rewrite_writes_can_be_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("given.conf");
    // The last is one digit longer as it is shown: beyond what is read.
    for (given, kept) in
        [(".5", true), ("00.1250", true), ("1.234567890123456789", true), (".0000000000000000123", false)]
    {
        std::fs::write(&path, "save \"\"\n").unwrap();
        let server = Server::with_file(&path);
        let mut client = server.client();
        assert_eq!(client.run(&format!("CONFIG SET corral.early-beta {given}")).is_ok(), kept, "{given}");
        let shown = client.run("CONFIG GET corral.early-beta").field("corral.early-beta").text();
        assert!(client.run("CONFIG REWRITE").is_ok());
        let again = Server::with_file(&path).client().run("CONFIG GET corral.early-beta");
        assert_eq!(again.field("corral.early-beta").text(), shown, "{given}");
    }
}

#[test]
fn a_longest_lease_below_the_usual_one_is_refused() {
    let server = Server::start();
    let mut client = server.client();
    let refused = client.run("CONFIG SET corral.lease-max-ms 500");
    assert!(refused.error().contains("lease-ms 10000 must not be above lease-max-ms 500"), "{refused:?}");
    assert!(client.run("CONFIG SET corral.lease-ms 400 corral.lease-max-ms 500").is_ok());
    let token = client.ask("CACHE.GETORLOCK page").token();
    let left = client.run("CACHE.INFO page").field("lease").field("left-ms").number();
    assert!(left <= 500, "no call can make an unbounded lease: {left}");
    assert!(client.run("CACHE.GETORLOCK other LEASE 501").error().contains("500"));
    assert!(client.run(&format!("CACHE.FILL page {token} html")).is_ok());
}

#[test]
fn bad_arguments_of_loadmodule_are_refused_and_the_log_says_why() {
    for (arguments, why) in BAD_ARGUMENTS {
        let log = log_of_refused_load(arguments);
        assert!(log.contains(&format!("cannot be loaded: {why}")), "{arguments}: no {why:?} in\n{log}");
    }
}

#[test]
fn the_arguments_of_loadmodule_and_the_file_that_loads_it_set_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("given.conf");
    std::fs::write(&path, format!("save \"\"\nloadmodule {} lease-ms 1234\ncorral.swr-ms 77\n", module().display()))
        .unwrap();
    let server = Server::with_file(&path);
    let mut client = server.client();
    for (name, value) in [("corral.lease-ms", "1234"), ("corral.swr-ms", "77")] {
        assert_eq!(client.run(&format!("CONFIG GET {name}")).field(name).text(), value);
    }
}

/// Arguments, and what is wrong with them.
const BAD_ARGUMENTS: [(&str, &str); 8] = [
    ("lease-ms 0", "lease-ms must be a whole number from 1 to 86400000"),
    ("lease-ms 300001", "lease-ms 300001 must not be above lease-max-ms 300000"),
    ("jitter-percent ten", "jitter-percent must be a whole number from 0 to 100"),
    ("early-beta 101", "early-beta must be a number from 0 to 100"),
    ("log-expired-leases maybe", "log-expired-leases must be yes or no"),
    ("lease-ms", "the argument lease-ms needs a value"),
    ("groups reports", "groups are set in redis.conf or by CONFIG SET, not as an argument of loadmodule"),
    ("lease 5000", "there is no setting lease, allowed are lease-ms, lease-max-ms, swr-ms, sie-ms, jitter-percent, early-beta, backoff-ms, backoff-max-ms, pass-ms, max-waiters, max-waiters-per-key, waiters-memory-percent, tied-default, max-tags, floor-ms, log-expired-leases"),
];

/// Starts a server that is to refuse the module, and gives back its log.
fn log_of_refused_load(arguments: &str) -> String {
    let program = std::env::var("CORRAL_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    let directory = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(program)
        .args(["--port", "0", "--unixsocket", "socket", "--save", "", "--dir"])
        .arg(directory.path())
        .arg("--loadmodule")
        .arg(module())
        .args(arguments.split(' '))
        .output()
        .unwrap();
    assert!(!output.status.success(), "{arguments}: the server runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
