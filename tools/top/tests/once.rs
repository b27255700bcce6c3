use std::process::{Command, Output};

use crate::server::{connect, url, Server};

#[test]
fn a_frame_shows_the_lease_that_is_out_and_what_was_counted() {
    let server = Server::start();
    let mut connection = connect(&server);
    let run = |line: &str, connection: &mut redis::Connection| -> redis::Value {
        let mut command = redis::Cmd::new();
        line.split(' ').for_each(|word| {
            command.arg(word);
        });
        command.query(connection).unwrap()
    };
    run("CLIENT SETNAME builder-7", &mut connection);
    run("SELECT 2", &mut connection);
    run("CACHE.SET warm value EX 60", &mut connection);
    for _ in 0..1234 {
        run("CACHE.GETORLOCK warm", &mut connection);
    }
    run("CACHE.GETORLOCK report:cold LEASE 60000", &mut connection);
    let output = top(&[&url(&server, ""), "--once", "--interval-ms", "100", "--columns", "130"]);
    let frame = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{frame}{}", String::from_utf8_lossy(&output.stderr));
    let lease = frame.lines().find(|line| line.contains("report:cold")).unwrap_or_else(|| panic!("{frame}"));
    assert!(lease.contains(" 2 ") && lease.contains("builder-7 127.0.0.1:"), "{frame}");
    assert!(frame.contains("Live leases: 1") && frame.contains("99.9 % since start"), "{frame}");
}

#[test]
fn a_password_is_used_and_never_shown() {
    let server = Server::start();
    let () = redis::cmd("ACL")
        .arg(&["SETUSER", "watcher", "on", ">hidden", "+info", "+cache.leases"])
        .query(&mut connect(&server))
        .unwrap();
    let () =
        redis::cmd("ACL").arg(&["SETUSER", "half", "on", ">hidden", "+info"]).query(&mut connect(&server)).unwrap();
    let () = redis::cmd("CONFIG").arg(&["SET", "requirepass", "other"]).query(&mut connect(&server)).unwrap();

    let seen = top(&[&url(&server, "watcher:hidden@"), "--once", "--interval-ms", "100"]);
    let frame = String::from_utf8(seen.stdout).unwrap();
    assert!(seen.status.success() && frame.contains("Live leases: 0") && !frame.contains("hidden"), "{frame}");
    let half = top(&[&url(&server, "half:hidden@"), "--once", "--interval-ms", "100"]);
    assert!(String::from_utf8_lossy(&half.stdout).contains("+cache.leases"), "{half:?}");

    assert_complaint(&url(&server, ""), "wants a password");
    assert_complaint(&url(&server, "watcher:wrong@"), "refuses this user name or password");
}

#[test]
fn a_server_without_the_module_is_told_from_none() {
    let server = Server::without_module(None);
    assert_complaint(&url(&server, ""), "does not have the Corral module");
    let url = url(&server, "");
    drop(server);
    assert_complaint(&url, "no answer from the server");
    assert_complaint("nonsense", "the URL must be like redis://");
}

fn assert_complaint(url: &str, words: &str) {
    let output = top(&[url, "--once", "--interval-ms", "100"]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && complaint.contains(words), "{complaint}");
    assert!(!complaint.contains("wrong@") && !complaint.contains("hidden"), "{complaint}");
}

fn top(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_corral-top")).args(arguments).output().unwrap()
}
