//! MODULE LIST, LOAD and UNLOAD.

use crate::harness::{module, Client, Reply, Server};

fn listed(client: &mut Client) -> Vec<(String, i64, String)> {
    let list = client.run("MODULE LIST");
    let own = list.list().iter().filter(|module| module.field("name").text() == "corral");
    own.map(|module| (module.field("name").text(), module.field("ver").number(), module.field("path").text())).collect()
}

#[test]
fn the_module_is_listed_with_its_version_and_its_file() {
    let server = Server::start();
    let found = listed(&mut server.client());
    assert!(matches!(found.as_slice(), [(_, 2, path)] if path.ends_with(".so")), "{found:?}");
}

#[test]
fn a_second_load_is_refused_and_the_first_goes_on() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page html");
    let path = listed(&mut client).remove(0).2;
    let reply = client.run(&format!("MODULE LOAD {path}"));
    assert!(matches!(reply, Reply::Error(_)), "{reply:?}");
    assert!(server.log().contains("a module of this name is loaded already"), "{}", server.log());
    assert!(client.ask("CACHE.GETORLOCK page").is("HIT", Some("html")));
    assert_eq!(listed(&mut client).len(), 1);
}

#[test]
fn a_load_warns_of_nothing() {
    let server = Server::start();
    let log = server.log();
    // `#` is the mark of a warning.
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains(" # ") && line.contains("corral")).collect();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(log.contains("loaded"), "{log}");
}

/// A server does not let go of a module with a data type, whether a key of the type exists or not.
#[test]
fn an_unload_is_refused_with_and_without_entries_and_everything_goes_on() {
    let mut server = Server::start();
    let (mut client, mut waiter) = (server.client(), server.client());
    for filled in [false, true] {
        if filled {
            client.run("CACHE.SET page html PX 600000");
        }
        for _ in 0..3 {
            let reply = client.run("MODULE UNLOAD corral");
            assert!(matches!(reply, Reply::Error(_)), "{reply:?}");
        }
        assert_eq!(listed(&mut client).len(), 1);
    }
    let token = client.ask("CACHE.GETORLOCK other LEASE 60000").token();
    server.park(&mut waiter, "CACHE.GETORLOCK other BLOCK 0");
    assert!(matches!(client.run("MODULE UNLOAD corral"), Reply::Error(_)));
    assert!(!waiter.has_reply());
    assert!(client.run(&format!("CACHE.FILL other {token} html")).is_ok());
    assert!(waiter.read().triple().is("HIT", Some("html")));
    assert!(client.ask("CACHE.GETORLOCK page").is("HIT", Some("html")));
    assert!(server.is_alive());
}

/// Redis 7.0 goes on to call what a module subscribed to, when its load failed after that.
#[test]
fn a_load_that_fails_leaves_nothing_behind() {
    let mut server = Server::without_module(None);
    let path = module().display().to_string();
    for arguments in ["lease-ms 0", "bogus", "early-beta 101"] {
        let reply = server.client().run(&format!("MODULE LOAD {path} {arguments}"));
        assert!(matches!(reply, Reply::Error(_)), "{arguments}: {reply:?}");
        // Connections that come and go, databases that change: what the module would be told of.
        for _ in 0..10 {
            let mut client = server.client();
            assert!(client.run("SWAPDB 0 1").is_ok() && client.run("FLUSHALL").is_ok());
            client.hang_up();
        }
        assert!(server.is_alive(), "{arguments}");
    }
    let mut client = server.client();
    assert!(client.run(&format!("MODULE LOAD {path} lease-ms 1234")).is_ok());
    assert!(client.ask("CACHE.GETORLOCK page").token() > 0);
}

#[test]
fn a_server_without_a_command_that_the_module_calls_is_told_which() {
    let directory = tempfile::tempdir().unwrap();
    let command = "GET";
    let file = directory.path().join(command);
    std::fs::write(&file, format!("rename-command {command} \"\"\n")).unwrap();
    let mut server = Server::without_module(Some(&file));
    let reply = server.client().run(&format!("MODULE LOAD {}", module().display()));
    assert!(matches!(reply, Reply::Error(_)), "{command}: {reply:?}");
    let line = format!("this server has no command {command}, which is called here");
    assert!(server.log().contains(&line), "{}", server.log());
    assert!(server.is_alive());
}
