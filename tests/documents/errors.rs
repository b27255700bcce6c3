//! docs/errors.md: every row's call or situation on a real server, and the sentence it is answered with.

use std::collections::HashMap;

use super::{file, sentences, table};
pub use crate::harness::story::fits;
use crate::harness::story::words;
use crate::harness::{eventually, Client, Server};

const DOCUMENT: &str = "docs/errors.md";

fn calls() -> Vec<Vec<String>> {
    table(&file(DOCUMENT), "| call | error |")
}

fn situations() -> Vec<Vec<String>> {
    table(&file(DOCUMENT), "| situation | error |")
}

/// The keys that the document's calls are about: `page` has a lease out, `fresh` a value, `list` is a list.
fn furnish(client: &mut Client) -> HashMap<&'static str, String> {
    client.run("CACHE.SET fresh value PX 3600000");
    client.run("RPUSH list a");
    let token = client.ask("CACHE.GETORLOCK page LEASE 300000").token();
    HashMap::from([("TOKEN", token.to_string()), ("LONG", "x".repeat(1025))])
}

#[test]
fn every_refused_call_is_answered_with_the_documents_sentence() {
    let server = Server::start();
    let mut client = server.client();
    let tokens = furnish(&mut client);
    let (rows, mut wrong) = (calls(), Vec::new());
    assert!(rows.len() > 20, "only {} rows", rows.len());
    for row in &rows {
        let [call, error, to_do] = row.as_slice() else { panic!("not a row: {row:?}") };
        assert!(!to_do.is_empty(), "{call}: what is to be done?");
        let told: Vec<&str> = call.split(' ').map(|word| tokens.get(word).map_or(word, String::as_str)).collect();
        let words = words(&told.join(" "), |name| Err(format!("<{name}> in a document"))).unwrap();
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let got = format!("{:?}", client.call(&words));
        if got != format!("-{error}") {
            wrong.push(format!("{call}\n  document {error}\n  server   {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn no_sentence_of_the_code_is_missing() {
    let written: Vec<String> = calls().into_iter().chain(situations()).map(|row| row[1].clone()).collect();
    let codes = ["ERR ", "OOM ", "READONLY ", "WRONGTYPE ", "TRYAGAIN ", "UNBLOCKED "];
    let known = sentences(&file("src/redis/refusal.rs"), |text| codes.iter().any(|code| text.starts_with(code)));
    assert!(known.len() > 10, "{known:?}");
    for sentence in known {
        assert!(written.iter().any(|row| fits(&sentence, row)), "{DOCUMENT} has no {sentence:?}");
    }
}

/// A situation, how it comes about, and what its client reads.
type Situation = (&'static str, fn() -> String);

const SITUATIONS: [Situation; 8] = [
    ("`CACHE.FILL` while memory is full", || {
        let server = Server::start();
        let mut client = server.client();
        let token = client.ask("CACHE.GETORLOCK page").token();
        client.run("CONFIG SET maxmemory 1");
        client.run(&format!("CACHE.FILL page {token} html")).error().to_owned()
    }),
    ("`CACHE.SET` while memory is full", || {
        let server = Server::start();
        let mut client = server.client();
        client.run("CONFIG SET maxmemory 1");
        client.run("CACHE.SET page html").error().to_owned()
    }),
    ("a writing command at a replica", || {
        let server = Server::start();
        let replica = server.replica();
        let error = replica.client().run("CACHE.GETORLOCK page");
        error.error().to_owned()
    }),
    ("`CACHE.GETORLOCK` of what is not fresh, at a writable replica", || {
        let server = Server::start();
        let replica = server.replica_with(&["--replica-read-only", "no"]);
        let error = replica.client().run("CACHE.GETORLOCK page");
        error.error().to_owned()
    }),
    ("parked, and the server becomes a replica", || {
        parked("LEASE 60000", |server| {
            let port = Server::start();
            let mut client = server.client();
            assert!(client.run(&format!("REPLICAOF 127.0.0.1 {}", port.port)).is_ok());
        })
    }),
    ("parked, and the slot moves to another node", || {
        let server = Server::with(&["--save", "", "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"]);
        let mut client = server.client();
        assert!(client.run("CLUSTER ADDSLOTSRANGE 0 16383").is_ok());
        eventually("the cluster is up", || client.run("CLUSTER INFO").text().contains("cluster_state:ok"));
        parked_at(&server, "LEASE 60000", |server| {
            let mut client = server.client();
            let slot = client.run("CLUSTER KEYSLOT page").number();
            assert!(client.run(&format!("CLUSTER DELSLOTS {slot}")).is_ok());
        })
    }),
    ("parked, and the key holds another type when the lease is over", || {
        parked("LEASE 2000", |server| {
            let mut client = server.client();
            client.run("DEL page");
            client.run("RPUSH page a");
        })
    }),
    ("parked, and an operator says `CLIENT UNBLOCK id ERROR`", || {
        let server = Server::start();
        let mut client = server.client();
        client.ask("CACHE.GETORLOCK page LEASE 60000").token();
        let mut waiter = server.client();
        let id = waiter.id();
        server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
        match client.run(&format!("CLIENT UNBLOCK {id} ERROR")).number() {
            // Not on Redis 7.2, as the document says.
            0 => "UNBLOCKED client unblocked via CLIENT UNBLOCK".to_owned(),
            _ => waiter.read().error().to_owned(),
        }
    }),
];

/// What a parked client reads after `then`.
fn parked(lease: &str, then: impl FnOnce(&Server)) -> String {
    parked_at(&Server::start(), lease, then)
}

fn parked_at(server: &Server, lease: &str, then: impl FnOnce(&Server)) -> String {
    server.client().ask(&format!("CACHE.GETORLOCK page {lease}")).token();
    let mut waiter = server.client();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    then(server);
    waiter.read().error().to_owned()
}

#[test]
fn every_situation_has_the_documents_sentence() {
    let mut rows = situations();
    // Only a build that panics on demand (tests/faults.rs) and a master of our own could show these.
    let elsewhere = ["a bug in Corral: a panic was caught", "a broken or foreign message on the replication link"];
    rows.retain(|row| !elsewhere.contains(&row[0].as_str()));
    assert_eq!(rows.len(), SITUATIONS.len());
    for row in rows {
        let (_, bring_about) =
            SITUATIONS.iter().find(|(title, _)| *title == row[0]).unwrap_or_else(|| panic!("untested: {}", row[0]));
        assert_eq!(bring_about(), row[1], "{}", row[0]);
    }
}
