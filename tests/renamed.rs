//! Servers whose commands were renamed or taken away: nothing that Corral sends to replicas and the AOF depends on one.

use crate::harness::{eventually, picture, Client, Server};

/// What operators take away, and what a module might call.
const TAKEN: [&str; 12] = [
    "UNLINK",
    "DEL",
    "EXISTS",
    "SETRANGE",
    "SET",
    "EXPIRE",
    "PEXPIREAT",
    "PERSIST",
    "RESTORE",
    "PUBLISH",
    "SPUBLISH",
    "FLUSHALL",
];

/// Each removes a key, as Corral does it.
fn remove(client: &mut Client) {
    for key in ["invalidated", "shared", "released", "passed", "deadline"] {
        client.run(&format!("CACHE.SET {key} html PX 600000"));
    }
    assert_eq!(client.run("CACHE.INVALIDATE invalidated").number(), 1);
    let token = client.ask("CACHE.GETORLOCK shared FORCE").token();
    assert!(client.run(&format!("CACHE.FILL shared {token} html PXAT 1")).is_ok());
    let token = client.ask("CACHE.GETORLOCK new").token();
    assert_eq!(client.run(&format!("CACHE.RELEASE new {token}")).number(), 1);
    client.ask("CACHE.GETORLOCK late LEASE 100").token();
    eventually("the late holder's key is gone", || client.ask("CACHE.GET late").number == 0);
    for (key, there) in [("invalidated", false), ("shared", false), ("new", false), ("passed", true)] {
        assert_eq!(client.ask(&format!("CACHE.GET {key}")).state == "HIT", there, "{key}");
    }
}

#[test]
fn removals_reach_replicas_and_the_aof_without_the_commands_that_remove() {
    let directory = tempfile::tempdir().unwrap();
    let renamed: String = TAKEN.map(|command| format!("rename-command {command} \"\"\n")).concat();
    let file = directory.path().join("master.conf");
    let aof = "save \"\"\nappendonly yes\nappendfsync always\nrepl-diskless-sync-delay 0\n";
    std::fs::write(&file, format!("{aof}{renamed}")).unwrap();
    let mut server = Server::with_file(&file);
    let file = directory.path().join("replica.conf");
    std::fs::write(&file, format!("{aof}replicaof 127.0.0.1 {}\n{renamed}", server.port)).unwrap();
    let replica = Server::with_file(&file);
    replica.catch_up_with(&server);

    let mut client = server.client();
    remove(&mut client);
    eventually("nothing without a value is left", || client.run("DBSIZE").number() == 3);
    replica.catch_up_with(&server);
    let there = picture(&mut client);
    assert_eq!(there.len(), 3, "{there:?}");
    assert_eq!(picture(&mut replica.client()), there);
    for log in [server.log(), replica.log()] {
        assert!(!log.contains("could not be replicated"), "{log}");
    }
    server.restart();
    assert_eq!(picture(&mut server.client()), there, "from the AOF");
}
