//! A replica that serves one data set while it loads another beside it: clients are served, and are trusted no more than
//! at any other time.

use crate::harness::payload::{dump, forged, wide};
use crate::harness::{eventually, picture, Reply, Server};

const LAST_TOKEN: i64 = (1 << 53) - 1;
/// So many keys, each a moment of the load.
const KEYS: usize = 2000;

/// A master, and a replica of it that loads the same data set again, beside the one it serves. For as long as the test
/// lets the master send it.
fn loading_beside() -> (Server, Server) {
    let options = ["--save", "", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"];
    let small = ["--repl-backlog-size", "16384", "--rdbcompression", "no"];
    let master = Server::with(&[&options[..], &small].concat());
    let beside = ["--repl-diskless-load", "swapdb", "--replica-read-only", "no", "--rdbcompression", "no"];
    // And lets clients in after each kilobyte.
    let served = ["--loading-process-events-interval-bytes", "1024"];
    let replica = master.replica_with(&[&beside[..], &served].concat());
    let value = "h".repeat(500);
    let mut client = master.client();
    for key in 0..KEYS {
        client.send(&format!("CACHE.SET key{key} {value}"));
    }
    (0..KEYS).for_each(|_| assert!(client.read().is_ok()));
    replica.catch_up_with(&master);
    // It misses more than the master remembers, so that the whole is sent again: slowly.
    assert!(client.run("CONFIG SET rdb-key-save-delay 2000").is_ok());
    replica.freeze();
    assert!(client.run("CLIENT KILL TYPE replica").number() >= 1);
    let missed = "v".repeat(40_000);
    assert!(client.run(&format!("CACHE.SET missed {missed}")).is_ok());
    client.ask("CACHE.GETORLOCK held LEASE 290000").token();
    replica.thaw();
    let mut there = replica.client();
    eventually("it loads beside", || there.run("INFO persistence").text().contains("async_loading:1"));
    (master, replica)
}

#[test]
fn a_client_is_trusted_no_more_while_a_data_set_is_loaded_beside() {
    let (master, replica) = loading_beside();
    let elsewhere = Server::with(&["--save", "", "--rdbcompression", "no"]);
    let mut forger = elsewhere.client();
    let token = forger.ask("CACHE.GETORLOCK forged LEASE 60000").token();
    let payload = forged(&dump(&mut forger, "forged"), &wide(token), 0, LAST_TOKEN);
    let mut client = replica.client();
    assert_eq!(client.ask("CACHE.GET key1").state, "HIT", "the present data set is served");
    // A header without anything in it is one that would be read.
    for call in [
        &[b"CACHE.APPLY".as_slice(), b"key1", &[2, 0, 0, 0]][..],
        &[b"CACHE.APPLY", b"key1", &[3]],
        &[b"RESTORE", b"forged", b"0", &payload],
        &[b"RESTORE", b"key2", b"0", &payload, b"REPLACE"],
    ] {
        let refused = client.call(call);
        assert!(matches!(refused, Reply::Error(_)), "{call:?}: {refused:?}");
    }
    assert!(client.run("INFO persistence").text().contains("async_loading:1"), "all of it was asked while it loaded");
    assert_eq!(client.ask("CACHE.GET key1").state, "HIT");
    assert!(master.client().run("CONFIG SET rdb-key-save-delay 0").is_ok());
    replica.catch_up_with(&master);
    assert_eq!(picture(&mut replica.client()), picture(&mut master.client()));

    assert!(client.run("REPLICAOF NO ONE").is_ok());
    let token = client.ask("CACHE.GETORLOCK new").token();
    assert!(token < LAST_TOKEN / 2, "fencing goes on: {token}");
    assert_eq!(replica.info("corral_panics_caught"), 0);
}

/// What is loaded beside counts when it takes its place, and not before.
#[test]
fn leases_of_a_data_set_that_is_loaded_beside_are_listed_when_it_is_there() {
    let (master, replica) = loading_beside();
    let mut client = replica.client();
    assert_eq!(client.run("CACHE.LEASES").list().len(), 0, "the lease is in the data set that is loaded");
    assert!(client.ask("CACHE.GET held").is("MISS", None));
    assert!(master.client().run("CONFIG SET rdb-key-save-delay 0").is_ok());
    replica.catch_up_with(&master);
    eventually("it is listed", || client.run("CACHE.LEASES").list().len() == 1);
    assert!(client.ask("CACHE.GET held").number > 0);
    assert_eq!(picture(&mut client), picture(&mut master.client()));
}
