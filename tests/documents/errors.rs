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

/// The keys that the document's calls are about: `page` has a lease out, `fresh` a value, `list` and `string` are such.
fn furnish(client: &mut Client) -> HashMap<&'static str, String> {
    client.run("CACHE.SET fresh value PX 3600000");
    client.run("RPUSH list a");
    client.run("SET string a");
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
    let codes = ["ERR ", "READONLY ", "WRONGTYPE ", "TRYAGAIN ", "UNBLOCKED ", "NOPERM ", "MOVED ", "CLUSTERDOWN "];
    let known = sentences(&file("crates/core/src/error.rs"), |text| codes.iter().any(|code| text.starts_with(code)));
    assert!(known.len() > 10, "{known:?}");
    for sentence in known {
        assert!(written.iter().any(|row| fits(&sentence, row)), "{DOCUMENT} has no {sentence:?}");
    }
}

/// A situation, how it comes about, and what its client reads.
type Situation = (&'static str, fn() -> String);

const SITUATIONS: [Situation; 14] = [
    ("`CACHE.FILL` while memory is full", || refused_fill(&[], "CONFIG SET maxmemory 1")),
    ("`CACHE.FILL` with too few replicas", || refused_fill(&[], "CONFIG SET min-replicas-to-write 1")),
    ("`CACHE.FILL` after a failed BGSAVE", || {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::with(&["--dir", directory.path().to_str().unwrap(), "--save", "3600 1"]);
        let mut client = server.client();
        let token = client.ask("CACHE.GETORLOCK page").token();
        // What lies in the place of the file cannot be replaced by one.
        std::fs::create_dir(directory.path().join("dump.rdb")).unwrap();
        client.run("BGSAVE");
        eventually("the save has failed", || {
            client.run("INFO persistence").text().contains("rdb_last_bgsave_status:err")
        });
        client.run(&format!("CACHE.FILL page {token} html")).error().to_owned()
    }),
    ("`CACHE.SET` while memory is full", || {
        let server = Server::start();
        let mut client = server.client();
        client.run("CONFIG SET maxmemory 1");
        client.run("CACHE.SET page html").error().to_owned()
    }),
    ("`CACHE.SET` at a replica", || at_a_replica("CACHE.SET page html")),
    ("`CACHE.GETORLOCK` of what is not fresh, or a verdict, at a replica", || at_a_replica("CACHE.GETORLOCK page")),
    ("a grant while the cluster is down", || {
        let options = ["--save", "", "--cluster-enabled", "yes", "--cluster-allow-reads-when-down", "yes"];
        let server = Server::with(&options);
        let mut client = server.client();
        assert!(client.run("CLUSTER ADDSLOTSRANGE 0 16383").is_ok());
        eventually("the cluster is up", || client.run("CLUSTER INFO").text().contains("cluster_state:ok"));
        let slot = client.run("CLUSTER KEYSLOT page").number();
        assert!(client.run(&format!("CLUSTER DELSLOTS {}", (slot + 1) % 16384)).is_ok());
        eventually("the cluster is down", || client.run("CLUSTER INFO").text().contains("cluster_state:fail"));
        client.run("CACHE.GETORLOCK page").error().to_owned()
    }),
    ("a verdict in a transaction that has paused the clients", || {
        let server = Server::start();
        let mut client = server.client();
        let token = client.ask("CACHE.GETORLOCK page").token();
        for line in ["MULTI", "CLIENT PAUSE 100 WRITE", &format!("CACHE.FILL page {token} html")] {
            client.run(line);
        }
        client.run("EXEC").list()[1].error().to_owned()
    }),
    ("`NOTIFY` in another database than 0", || {
        let server = Server::start();
        let mut client = server.client();
        client.run("SELECT 1");
        client.run("CACHE.GETORLOCK page NOTIFY").error().to_owned()
    }),
    ("parked, and the user's rights are taken away", || {
        let server = Server::start();
        let (mut holder, mut waiter) = (server.client(), server.client());
        assert!(holder.run("ACL SETUSER waiter on nopass ~* &* +@all").is_ok());
        assert!(waiter.run("AUTH waiter any").is_ok());
        let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
        server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
        assert!(holder.run("ACL SETUSER waiter -cache.getorlock").is_ok());
        assert!(holder.run(&format!("CACHE.FILL page {token} html")).is_ok());
        waiter.read().error().to_owned()
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

/// What a holder is told whose FILL meets a server that refuses to write.
fn refused_fill(options: &[&str], refuse: &str) -> String {
    let server = Server::with(options);
    let mut client = server.client();
    let token = client.ask("CACHE.GETORLOCK page").token();
    assert!(client.run(refuse).is_ok());
    client.run(&format!("CACHE.FILL page {token} html")).error().to_owned()
}

fn at_a_replica(call: &str) -> String {
    let server = Server::start();
    let replica = server.replica();
    let error = replica.client().run(call);
    error.error().to_owned()
}

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
    // These need a build that panics on demand (tests/faults.rs), a master of our own, a cluster of several nodes
    // (tests/cluster.rs), or a server that refuses without a word.
    let elsewhere = [
        "a bug in Corral: a panic was caught",
        "a broken or foreign message on the replication link",
        "the same in a cluster",
        "a server that refuses a write and does not say why",
    ];
    rows.retain(|row| !elsewhere.contains(&row[0].as_str()));
    assert_eq!(rows.len(), SITUATIONS.len());
    for row in rows {
        let (_, bring_about) =
            SITUATIONS.iter().find(|(title, _)| *title == row[0]).unwrap_or_else(|| panic!("untested: {}", row[0]));
        let told = bring_about();
        assert!(fits(&row[1], &told), "{}:\n  document {}\n  server   {told}", row[0], row[1]);
    }
}
