//! A server that refuses writes (a disk that takes no snapshot, replicas that are missing): hits and old values are
//! served, whoever waits is answered, nobody is granted anything, and master and replica hold the same afterwards.

use std::path::PathBuf;

use crate::harness::{eventually, picture, Client, Reply, Server};

/// Keys with a lease out, and how their holders end it: the command's words after key and token, and what waiters get.
const ENDS: [(&str, &str, &str); 4] = [
    ("filled", "FILL filled {} html PX 60000", "HIT"),
    ("failed", "FAIL failed {} down", "FAIL"),
    ("passed", "PASS passed {}", "PASS"),
    ("touched", "TOUCH touched {} PX 60000", "HIT"),
];

/// How the server comes to refuse writes.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Disk,
    Replicas,
}

impl Way {
    fn begin(self, client: &mut Client) {
        match self {
            Way::Disk => {
                // Where the snapshot belongs lies a directory that is not empty.
                let directory = client.run("CONFIG GET dir").list()[1].text();
                std::fs::create_dir_all(PathBuf::from(directory).join("dump.rdb/occupied")).unwrap();
                client.send_words(&["CONFIG", "SET", "save", "3600 1"].map(str::to_owned));
                assert!(client.read().is_ok());
                eventually("the snapshot has failed", || {
                    // Refused while the child that feeds the replica has not been waited for.
                    client.run("BGSAVE");
                    client.run("INFO persistence").text().contains("rdb_last_bgsave_status:err")
                });
            }
            Way::Replicas => assert!(client.run("CONFIG SET min-replicas-to-write 5").is_ok()),
        }
    }

    fn end(self, client: &mut Client) {
        let line = match self {
            Way::Disk => "CONFIG SET stop-writes-on-bgsave-error no",
            Way::Replicas => "CONFIG SET min-replicas-to-write 0",
        };
        assert!(client.run(line).is_ok());
    }

    fn is(self, reply: &Reply) -> bool {
        let code = match self {
            Way::Disk => "MISCONF",
            Way::Replicas => "NOREPLICAS",
        };
        matches!(reply, Reply::Error(sentence) if sentence.starts_with(code))
    }
}

fn everybody_is_answered(way: Way) {
    let server = Server::start();
    let replica = server.replica();
    let mut client = server.client();
    for line in [
        "CACHE.SET fresh value",
        "CACHE.SET stale value PXAT 1 SWR 9007199254740000",
        "CACHE.SET touched value PXAT 1 SIE 9007199254740000",
    ] {
        assert!(client.run(line).is_ok());
    }
    let tokens = ENDS.map(|(key, ..)| client.ask(&format!("CACHE.GETORLOCK {key} NOSTALE LEASE 200000")).token());
    let released = client.ask("CACHE.GETORLOCK released LEASE 200000").token();
    let renewed = client.ask("CACHE.GETORLOCK renewed LEASE 200000").token();
    let mut tied = server.client();
    tied.ask("CACHE.GETORLOCK tied LEASE 200000 TIED").token();
    let mut waiters = server.clients(6);
    for (waiter, key) in waiters.iter_mut().zip(["filled", "failed", "passed", "touched", "released", "tied"]) {
        server.park(waiter, &format!("CACHE.GETORLOCK {key} BLOCK 0"));
    }
    way.begin(&mut client);

    assert!(client.ask("CACHE.GETORLOCK fresh").is("HIT", Some("value")));
    assert!(client.ask("CACHE.GETORLOCK stale").is("STALE", Some("value")));
    for line in
        ["GETORLOCK new", "GETORLOCK new BLOCK 1000", "GETORLOCK stale NOSTALE", "SET fresh other", "INVALIDATE fresh"]
    {
        let reply = client.run(&format!("CACHE.{line}"));
        assert!(way.is(&reply), "{line}: {reply:?}");
    }
    let batch = client.run("CACHE.MGETORLOCK 3 fresh stale new");
    let states: Vec<String> = batch.list().iter().map(|part| part.triple().state).collect();
    assert_eq!(states, ["HIT", "STALE", "WAIT"]);
    let reply = client.run(&format!("CACHE.RENEW renewed {renewed} 1000"));
    assert!(way.is(&reply), "{reply:?}");

    for ((waiter, (key, words, state)), token) in waiters.iter_mut().zip(ENDS).zip(tokens) {
        let reply = client.run(&format!("CACHE.{}", words.replace("{}", &token.to_string())));
        assert!(way.is(&reply), "{key}: {reply:?}");
        assert_eq!(waiter.read().triple().state, state, "{key}");
        assert_eq!(client.ask(&format!("CACHE.GET {key}")).number, 0, "{key}: the lease is over");
    }
    let reply = client.run(&format!("CACHE.RELEASE released {released}"));
    assert!(way.is(&reply), "{reply:?}");
    tied.hang_up();
    for waiter in &mut waiters[ENDS.len()..] {
        let reply = waiter.read();
        assert!(way.is(&reply), "nobody is granted anything: {reply:?}");
    }
    assert!(client.ask("CACHE.GET fresh").is("HIT", Some("value")), "nothing was stored or invalidated");
    assert_eq!(server.info("corral_live_leases"), 1, "renewed");

    way.end(&mut client);
    replica.catch_up_with(&server);
    assert_eq!(picture(&mut replica.client()), picture(&mut client));
    assert!(client.ask("CACHE.GETORLOCK released").is("LOCK", None));
}

#[test]
fn everybody_is_answered_while_the_disk_takes_no_snapshot() {
    everybody_is_answered(Way::Disk);
}

#[test]
fn everybody_is_answered_while_replicas_are_missing() {
    everybody_is_answered(Way::Replicas);
}

#[test]
fn a_lease_that_ends_while_writes_are_refused_is_handed_to_nobody() {
    let server = Server::start();
    let mut client = server.client();
    assert!(client.run("CACHE.SET old value PXAT 1 SIE 9007199254740000").is_ok());
    let mut waiters = server.clients(2);
    for (waiter, key) in waiters.iter_mut().zip(["old", "none"]) {
        client.ask(&format!("CACHE.GETORLOCK {key} LEASE 1500")).token();
        server.park(waiter, &format!("CACHE.GETORLOCK {key} BLOCK 0"));
    }
    Way::Replicas.begin(&mut client);
    assert!(waiters[0].read().triple().is("STALE", Some("value")));
    let reply = waiters[1].read();
    assert!(Way::Replicas.is(&reply), "{reply:?}");
}
