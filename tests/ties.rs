//! TIED leases: they end with their connection, however it ends, and with the server that knew it; whatever goes on around
//! them at that moment.

use crate::harness::{eventually, slot_of, Client, Cluster, Reply, Server};

const AOF: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];

fn tied(client: &mut Client, key: &str) -> i64 {
    client.ask(&format!("CACHE.GETORLOCK {key} TIED LEASE 290000")).token()
}

/// Has the server see that the connection is closed.
fn hang_up(server: &Server, mut client: Client) {
    let id = client.id();
    client.hang_up();
    let mut observer = server.client();
    eventually("the server sees it", || observer.run(&format!("CLIENT LIST ID {id}")).text().trim().is_empty());
}

/// No lease is out on the key, and the late holder's fill lands.
fn assert_ended(server: &Server, key: &str, token: i64) {
    let mut client = server.client();
    eventually(&format!("the tie of {key} has ended"), || client.ask(&format!("CACHE.GET {key}")).number == 0);
    assert!(client.run(&format!("CACHE.FILL {key} {token} late PX 60000")).is_ok(), "{key}: nobody took over");
    assert!(client.ask(&format!("CACHE.GET {key}")).is("HIT", Some("late")), "{key}");
}

#[test]
fn a_tie_ends_with_a_server_that_is_killed_however_its_data_come_back() {
    for (how, options) in [("an AOF", &AOF[..]), ("an RDB file", &["--save", "", "--appendonly", "no"])] {
        let mut server = Server::with(options);
        let (mut holder, mut other) = (server.client(), server.client());
        let (token, plain) = (tied(&mut holder, "page"), other.ask("CACHE.GETORLOCK plain LEASE 290000").token());
        if how == "an RDB file" {
            assert!(other.run("SAVE").is_ok());
        }
        server.restart();
        assert_ended(&server, "page", token);
        let mut client = server.client();
        assert!(client.ask("CACHE.GETORLOCK plain").is("WAIT", None), "{how}: without a tie it goes on");
        assert!(client.run(&format!("CACHE.FILL plain {plain} html")).is_ok(), "{how}");
    }
}

#[test]
fn a_tie_ends_when_its_master_is_killed_and_the_replica_takes_over() {
    let mut master = Server::start();
    let replica = master.replica();
    let (mut holder, mut waiting) = (master.client(), master.client());
    let token = tied(&mut holder, "page");
    let once = holder.ask("CACHE.GETORLOCK once TIED LEASE 290000 ONCE 60000").token();
    master.park(&mut waiting, "CACHE.GETORLOCK page BLOCK 0");
    replica.catch_up_with(&master);
    master.kill();
    assert_eq!(waiting.read(), Reply::Closed);
    // As long as it is a replica, the lease may still be its master's.
    let mut client = replica.client();
    assert!(client.ask("CACHE.GET page").number > 0);
    assert!(client.run("REPLICAOF NO ONE").is_ok());
    assert_ended(&replica, "page", token);
    // The work behind this one may have been done.
    let refused = client.until("CACHE.GETORLOCK once", "FAIL");
    assert!(refused.is("FAIL", Some("outcome unknown")), "{refused:?}");
    assert!(client.run(&format!("CACHE.FILL once {once} done")).is_ok());
}

#[test]
fn a_tie_that_breaks_while_the_cluster_is_down_is_handed_over_when_it_is_up() {
    let cluster = Cluster::with(3, 0, 1500);
    let (key, other) = (cluster.key_at(0), format!("{{{}}}other", cluster.key_at(0)));
    let (mut holder, mut observer) = (cluster.client(0), cluster.client(0));
    let (token, alone) = (tied(&mut holder, &key), tied(&mut holder, &other));
    // Alone, it serves nobody: the majority might have given its slots away.
    cluster.nodes[1].freeze();
    cluster.nodes[2].freeze();
    eventually("the cluster is down", || observer.run("CLUSTER INFO").text().contains("cluster_state:fail"));
    hang_up(&cluster.nodes[0], holder);
    let down = observer.run(&format!("CACHE.GETORLOCK {key} BLOCK 0"));
    assert!(down.error().starts_with("CLUSTERDOWN "), "{down:?}");
    cluster.nodes[1].thaw();
    cluster.nodes[2].thaw();
    eventually("the cluster is up", || observer.run("CLUSTER INFO").text().contains("cluster_state:ok"));
    let next = observer.until(&format!("CACHE.GETORLOCK {key} LEASE 290000"), "LOCK").token();
    assert!(next > token, "{next} after {token}");
    assert_ended(&cluster.nodes[0], &other, alone);
}

#[test]
fn a_tie_that_breaks_while_its_slot_migrates_ends_on_the_side_where_its_key_is() {
    let cluster = Cluster::patient(3, 0);
    let tag = cluster.key_at(0);
    let slot = slot_of(&tag);
    let key = |name: &str| format!("{{{tag}}}{name}");
    let (mut source, mut target) = (cluster.client(0), cluster.client(1));
    let mut holder = cluster.client(0);
    let token = tied(&mut holder, &key("here"));
    let mut waiter = cluster.client(0);
    cluster.nodes[0].park(&mut waiter, &format!("CACHE.GETORLOCK {} BLOCK 0", key("here")));

    assert!(target.run(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", cluster.id(0))).is_ok());
    assert!(source.run(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", cluster.id(1))).is_ok());
    // The key is here still: who waits for it is promoted.
    hang_up(&cluster.nodes[0], holder);
    let lock = waiter.read().triple();
    assert!(lock.is("LOCK", None) && lock.token() > token, "{lock:?}");
    assert!(waiter.run(&format!("CACHE.RELEASE {} {}", key("here"), lock.token())).number() == 1);

    // A key that is there already, by ASK.
    let mut asking = cluster.client(1);
    assert!(asking.run("ASKING").is_ok());
    let there = tied(&mut asking, &key("there"));
    hang_up(&cluster.nodes[1], asking);
    for node in [1, 0, 2] {
        let call = format!("CLUSTER SETSLOT {slot} NODE {}", cluster.id(1));
        assert!(cluster.client(node).run(&call).is_ok());
    }
    cluster.agree_on(&tag, 1, &[0, 1, 2]);
    assert_ended(&cluster.nodes[1], &key("there"), there);
    assert_eq!(cluster.nodes[0].info("corral_live_leases"), 0);
    assert_eq!(cluster.nodes[1].info("corral_live_leases"), 0);
}

/// Valkey 9.1 crashes when asked for the client of a script.
#[test]
fn a_lease_that_a_script_takes_has_no_holder_and_no_tie() {
    let mut server = Server::start();
    let mut client = server.client();
    assert!(client.run("CONFIG SET corral.tied-default yes").is_ok());
    let script = |call: &str| {
        let words = call.split(' ').map(|word| format!("'{word}'")).collect::<Vec<_>>().join(",");
        format!("return redis.call({words})")
    };
    for call in ["CACHE.GETORLOCK page LEASE 60000", "CACHE.MGETORLOCK 1 many LEASE 60000"] {
        let reply = client.call(&[b"EVAL", script(call).as_bytes(), b"0"]);
        assert!(!matches!(reply, Reply::Error(_)), "{call}: {reply:?}");
        let refused = client.call(&[b"EVAL", script(&format!("{call} TIED")).as_bytes(), b"0"]);
        assert!(matches!(refused, Reply::Error(_)), "{call} TIED: {refused:?}");
    }
    let leases = client.run("CACHE.LEASES");
    assert_eq!(leases.list().len(), 2);
    assert!(leases.list().iter().all(|lease| lease.field("holder").is_nil()), "{leases:?}");
    for key in ["page", "many"] {
        let lease = client.run(&format!("CACHE.INFO {key}")).field("lease").clone();
        assert_eq!(lease.field("tied").number(), 0, "{key}");
        assert!(lease.field("holder").is_nil(), "{key}");
    }
    hang_up(&server, client);
    assert_eq!(server.info("corral_live_leases"), 2);
    assert!(server.is_alive());
}
