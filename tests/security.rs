//! The users of SECURITY.md, set up by its own lines: what each can do, and what not.

use crate::harness::{Client, Reply, Server};

const DOCUMENT: &str = include_str!("../SECURITY.md");

const READ: &[&str] = &["CACHE.GET page:1"];
const BUILD: &[&str] = &[
    "CACHE.GETORLOCK page:1 BLOCK 1",
    "CACHE.MGETORLOCK 2 page:1 page:2",
    "CACHE.FILL page:1 1 value",
    "CACHE.TOUCH page:1 1",
    "CACHE.RENEW page:1 1 10",
    "CACHE.RELEASE page:1 1",
    "CACHE.FAIL page:1 1 down",
    "CACHE.PASS page:1 1",
];
const OPERATE: &[&str] = &[
    "CACHE.INFO page:1",
    "CACHE.LEASES",
    "CACHE.INVALIDATE page:1",
    "CACHE.SET page:1 value",
    "INFO corral",
    "CONFIG GET corral.*",
    "CONFIG SET corral.lease-ms 10000",
];
const NOBODY: &[&str] = &[
    "CACHE.GET other",
    "CACHE.GETORLOCK other",
    "CACHE.MGETORLOCK 2 page:1 other",
    "CACHE.INVALIDATE page:1 other",
    "CACHE.APPLY page:1 header",
    "RESTORE page:1 0 payload",
    "SET page:1 value",
    "DEL page:1",
    "FLUSHALL",
];

#[test]
fn the_users_of_the_security_document_can_do_their_work_and_nothing_else() {
    let server = Server::start();
    let mut admin = server.client();
    let lines: Vec<&str> = DOCUMENT.lines().filter(|line| line.starts_with("ACL SETUSER ")).collect();
    assert_eq!(lines.len(), 3);
    for line in lines {
        let reply = admin.run(line);
        assert!(reply.is_ok(), "{line}: {reply:?}");
    }
    for (user, allowed, denied) in [
        ("reader", vec![READ], vec![BUILD, OPERATE, NOBODY]),
        ("builder", vec![READ, BUILD], vec![OPERATE, NOBODY]),
        ("operator", vec![READ, OPERATE], vec![BUILD, NOBODY]),
    ] {
        let mut client = server.client();
        assert!(client.run(&format!("AUTH {user} change-me")).is_ok());
        assert_eq!(client.run("PING").text(), "PONG");
        for call in allowed.concat() {
            let reply = client.run(call);
            assert!(!matches!(reply, Reply::Error(_)), "{user}: {call}: {reply:?}");
        }
        for call in denied.concat() {
            assert!(refused(&mut client, call), "{user} may {call}");
        }
    }
}

fn refused(client: &mut Client, call: &str) -> bool {
    matches!(client.run(call), Reply::Error(sentence) if sentence.starts_with("NOPERM "))
}
