//! Thousands of clients.

use std::time::Instant;

use crate::harness::{eventually, raise_file_limit, Client, Server};

const HERD: usize = 5000;

/// What the server holds besides data, before and after a herd.
#[derive(Debug)]
struct Load {
    clients: i64,
    blocked: i64,
    memory: i64,
}

impl Load {
    fn of(server: &Server) -> Self {
        Self {
            clients: server.info("connected_clients"),
            blocked: server.info("blocked_clients"),
            memory: server.info("used_memory"),
        }
    }

    /// Redis frees the internal clients of parked ones at 500 a second, and keeps some for the next.
    fn eventually_returns(&self, server: &Server) {
        const KEPT_BYTES: i64 = 3 << 20;
        eventually("clients and memory return to the start", || {
            let now = Load::of(server);
            now.clients <= self.clients && now.blocked == self.blocked && now.memory <= self.memory + KEPT_BYTES
        });
        eprintln!("at the start {self:?}, at the end {:?}", Load::of(server));
    }
}

#[test]
fn five_thousand_parked_clients_are_answered_once_each_by_one_fill() {
    raise_file_limit();
    let server = Server::start();
    let mut holder = server.client();
    let before = Load::of(&server);
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    let mut herd = server.clients(HERD);
    server.park_all(&mut herd, "CACHE.GETORLOCK page BLOCK 0");
    assert_eq!(server.info("blocked_clients"), HERD as i64);
    assert!(holder.run(&format!("CACHE.FILL page {token} html PX 600000")).is_ok());
    for client in &mut herd {
        assert!(client.read().triple().is("HIT", Some("html")));
        client.send("PING");
    }
    // The very next reply is PING's own: nobody was answered twice.
    for client in &mut herd {
        assert_eq!(client.read().text(), "PONG");
    }
    herd.into_iter().for_each(Client::hang_up);
    before.eventually_returns(&server);
}

#[test]
fn killing_half_of_the_parked_clients_leaves_the_other_half_served_and_nothing_behind() {
    raise_file_limit();
    let server = Server::start();
    let (mut holder, mut operator) = (server.client(), server.client());
    let before = Load::of(&server);
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    let mut herd = server.clients(HERD);
    let ids: Vec<i64> = herd.iter_mut().map(Client::id).collect();
    server.park_all(&mut herd, "CACHE.GETORLOCK page BLOCK 0");
    for id in ids.iter().step_by(2) {
        operator.send(&format!("CLIENT KILL ID {id}"));
    }
    for _ in ids.iter().step_by(2) {
        assert_eq!(operator.read().number(), 1);
    }
    eventually("the killed are forgotten", || server.waiters("page") == HERD as i64 / 2);
    assert!(holder.run(&format!("CACHE.FILL page {token} html PX 600000")).is_ok());
    for client in herd.iter_mut().skip(1).step_by(2) {
        assert!(client.read().triple().is("HIT", Some("html")));
    }
    herd.into_iter().for_each(Client::hang_up);
    before.eventually_returns(&server);
}

#[test]
fn a_tied_holder_that_dies_hands_over_to_one_of_a_hundred_whose_fill_answers_the_others() {
    let server = Server::start();
    let mut holder = server.client();
    let id = holder.id();
    holder.ask("CACHE.GETORLOCK page TIED LEASE 60000");
    let mut herd = server.clients(100);
    server.park(&mut herd[0], "CACHE.GETORLOCK page BLOCK 0");
    server.park_all(&mut herd[1..], "CACHE.GETORLOCK page BLOCK 0");
    assert_eq!(server.client().run(&format!("CLIENT KILL ID {id}")).number(), 1);
    let lock = herd[0].read().triple();
    assert!(lock.is("LOCK", None));
    assert_eq!(server.waiters("page"), 99);
    assert!(herd[1..].iter().all(|client| !client.has_reply()));
    assert!(herd[0].run(&format!("CACHE.FILL page {} html", lock.token())).is_ok());
    for client in &mut herd[1..] {
        assert!(client.read().triple().is("HIT", Some("html")));
    }
}

#[test]
fn a_deadline_that_passes_on_an_idle_server_promotes_exactly_one_of_a_hundred() {
    let server = Server::start();
    let mut holder = server.client();
    let mut herd = server.clients(100);
    holder.ask("CACHE.GETORLOCK page LEASE 1500");
    let granted = Instant::now();
    server.park(&mut herd[0], "CACHE.GETORLOCK page BLOCK 0 LEASE 50000");
    server.park_all(&mut herd[1..], "CACHE.GETORLOCK page BLOCK 0 LEASE 50000");
    let lock = herd[0].read().triple();
    // A figure for people; how late it was is no matter for a test.
    eprintln!("promoted {} ms after a grant of 1500 ms", granted.elapsed().as_millis());
    assert!(lock.is("LOCK", None));
    assert_eq!(server.waiters("page"), 99);
    let left = server.client().run("CACHE.INFO page").field("lease").field("left-ms").number();
    assert!((40_000..=50_000).contains(&left), "{left}");
    assert!(herd[1..].iter().all(|client| !client.has_reply()));
}

#[test]
fn half_a_command_and_a_goodbye_while_parked_ten_thousand_times_leaves_nothing_behind() {
    const TIMES: usize = 10_000;
    const AT_ONCE: usize = 250;
    raise_file_limit();
    let server = Server::start();
    let mut holder = server.client();
    holder.ask("CACHE.GETORLOCK page LEASE 300000");
    let before = Load::of(&server);
    for _ in 0..TIMES / AT_ONCE {
        let mut herd = server.clients(AT_ONCE);
        for client in &mut herd {
            client.send("CACHE.GETORLOCK page BLOCK 0");
            client.send_raw(b"*3\r\n$10\r\nCACHE.FILL\r\n$4\r\npa");
        }
        herd.into_iter().for_each(Client::hang_up);
    }
    before.eventually_returns(&server);
    assert_eq!(server.waiters("page"), 0);
}
