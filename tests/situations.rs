//! Errors that need a situation: each is brought about on a real server, and its client reads Corral's sentence.

use corral_core::error::Error;

use crate::harness::{eventually, Server};

#[test]
fn every_situation_has_its_sentence() {
    for (title, error, bring_about) in SITUATIONS {
        assert_eq!(bring_about(), error.sentence(), "{title}");
    }
}

/// A situation, what its client is told, and how it comes about.
type Situation = (&'static str, Error, fn() -> String);

const SITUATIONS: [Situation; 8] = [
    ("CACHE.GETORLOCK of what is not fresh, or a verdict, at a replica", Error::ReadOnly, || {
        at_a_replica("CACHE.GETORLOCK page")
    }),
    ("a grant while the cluster is down", Error::ClusterDown, || {
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
    ("a verdict in a transaction that has paused the clients", Error::Paused, || {
        let server = Server::start();
        let mut client = server.client();
        let token = client.ask("CACHE.GETORLOCK page").token();
        for line in ["MULTI", "CLIENT PAUSE 100 WRITE", &format!("CACHE.FILL page {token} html")] {
            client.run(line);
        }
        client.run("EXEC").list()[1].error().to_owned()
    }),
    ("NOTIFY in another database than 0", Error::NotifyDatabase, || {
        let server = Server::start();
        let mut client = server.client();
        client.run("SELECT 1");
        client.run("CACHE.GETORLOCK page NOTIFY").error().to_owned()
    }),
    ("parked, and the user's rights are taken away", Error::NoPermission, || {
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
    ("parked, and the server becomes a replica", Error::Unblocked, || {
        parked("LEASE 60000", |server| {
            let port = Server::start();
            let mut client = server.client();
            assert!(client.run(&format!("REPLICAOF 127.0.0.1 {}", port.port)).is_ok());
        })
    }),
    ("parked, and the slot moves to another node", Error::TryAgain, || {
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
    ("parked, and the key holds another type when the lease is over", Error::WrongType, || {
        parked("LEASE 2000", |server| {
            let mut client = server.client();
            client.run("DEL page");
            client.run("RPUSH page a");
        })
    }),
];

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
