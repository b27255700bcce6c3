//! `make cluster`: three masters and three replicas with the module on this machine. They are filled; a slot moves while one
//! of its keys is being rebuilt; a master is killed while builds run. At each step it says what the clients see, and it
//! fails if they see anything else than the documents promise.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a tour that stops where something is not as it is told"
)]

use std::time::{Duration, Instant};

use corral_testkit::{eventually, raise_file_limit, slot_of, Client, Cluster, Reply};

const ENTRIES: u32 = 3_000;
const BUILDS: u32 = 20;
/// A node that is silent for so long is taken for dead.
const NODE_TIMEOUT_MS: u32 = 2_000;

fn main() {
    raise_file_limit();
    println!("==> 1. Three masters, three replicas, on 127.0.0.1 (redis-server with the module)");
    let mut cluster = Cluster::with(3, 3, NODE_TIMEOUT_MS);
    for (number, node) in cluster.nodes.iter().enumerate() {
        let role = if number < 3 { "master" } else { "replica of" };
        let of = if number < 3 { String::new() } else { format!(" {}", cluster.nodes[number - 3].port) };
        println!("    port {}: {role}{of}", node.port);
    }
    fill(&cluster);
    move_a_slot(&cluster);
    kill_a_master(&mut cluster);
    println!("\nAll of it was as docs/cluster.md says. The servers are stopped.");
}

fn fill(cluster: &Cluster) {
    println!("\n==> 2. {ENTRIES} entries, each on the node of its slot");
    let mut clients = [cluster.client(0), cluster.client(1), cluster.client(2)];
    for number in 0..ENTRIES {
        let key = format!("page:{number}");
        let owner = (0..3).find(|master| cluster.slots(*master).contains(&slot_of(&key))).unwrap();
        assert!(clients[owner].run(&format!("CACHE.SET {key} html-{number} EX 3600 SWR 60000")).is_ok());
    }
    for (number, client) in clients.iter_mut().enumerate() {
        println!("    master {number}: {} keys", client.run("DBSIZE").number());
    }
}

fn move_a_slot(cluster: &Cluster) {
    println!("\n==> 3. A slot moves from master 0 to master 1 while one of its keys is being rebuilt");
    let key = cluster.key_at(0);
    let slot = slot_of(&key);
    let (mut builder, mut waiter, mut target) = (cluster.client(0), cluster.client(0), cluster.client(1));
    let token = builder.ask(&format!("CACHE.GETORLOCK {key} LEASE 60000")).token();
    println!("    builder: CACHE.GETORLOCK {key} -> LOCK {token}");
    cluster.nodes[0].park(&mut waiter, &format!("CACHE.GETORLOCK {key} BLOCK 30000"));
    println!("    waiter:  CACHE.GETORLOCK {key} BLOCK 30000 -> parked");

    let mut source = cluster.client(0);
    assert!(target.run(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", cluster.id(0))).is_ok());
    assert!(source.run(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", cluster.id(1))).is_ok());
    let begun = Instant::now();
    loop {
        let keys = source.run(&format!("CLUSTER GETKEYSINSLOT {slot} 100"));
        let names: Vec<String> = keys.list().iter().map(Reply::text).collect();
        if names.is_empty() {
            break;
        }
        let port = cluster.nodes[1].port.to_string();
        let call = ["MIGRATE", "127.0.0.1", &port, "", "0", "60000", "KEYS"];
        let words: Vec<&[u8]> = call.into_iter().chain(names.iter().map(String::as_str)).map(str::as_bytes).collect();
        let moved = source.call(&words);
        assert!(moved.is_ok(), "{moved:?}");
    }
    for node in [1, 0, 2] {
        assert!(cluster.client(node).run(&format!("CLUSTER SETSLOT {slot} NODE {}", cluster.id(1))).is_ok());
    }
    println!("    slot {slot} is on master 1 after {}", short(begun.elapsed()));
    let told = waiter.read().error().to_owned();
    println!("    waiter:  told after {}: {told}", short(begun.elapsed()));
    assert!(told.starts_with("TRYAGAIN "), "{told}");
    let again = waiter.run(&format!("CACHE.GETORLOCK {key}")).error().to_owned();
    println!("    waiter:  asks again -> {again}   (a cluster client follows by itself)");
    assert!(again.starts_with("MOVED "), "{again}");
    waiter = cluster.client(1);
    cluster.nodes[1].park(&mut waiter, &format!("CACHE.GETORLOCK {key} BLOCK 30000"));
    println!("    waiter:  asks there -> parked: the lease has moved with its key");
    assert!(target.run(&format!("CACHE.FILL {key} {token} html EX 60")).is_ok());
    println!("    builder: CACHE.FILL {key} {token} there -> OK");
    let answer = waiter.read().triple();
    println!("    waiter:  {} {:?}", answer.state, answer.text());
    assert!(answer.is("HIT", Some("html")), "{answer:?}");
}

fn kill_a_master(cluster: &mut Cluster) {
    println!("\n==> 4. Master 2 is killed while {BUILDS} builds run there, each with somebody waiting");
    let slots = cluster.slots(2);
    let mut keys = (0u32..).map(|number| format!("report:{number}")).filter(|key| slots.contains(&slot_of(key)));
    let keys: Vec<String> = keys.by_ref().take(BUILDS as usize).collect();
    let mut client = cluster.client(2);
    let mut builds: Vec<(String, i64, Client)> = Vec::new();
    for key in keys {
        let token = client.ask(&format!("CACHE.GETORLOCK {key} LEASE 120000")).token();
        let mut waiter = cluster.client(2);
        cluster.nodes[2].park(&mut waiter, &format!("CACHE.GETORLOCK {key} BLOCK 60000"));
        builds.push((key, token, waiter));
    }
    cluster.nodes[5].catch_up_with(&cluster.nodes[2]);
    cluster.nodes[2].kill();
    let begun = Instant::now();
    let lost = builds.iter_mut().map(|(_, _, waiter)| waiter.read()).filter(|reply| *reply == Reply::Closed).count();
    println!("    {lost} waiters: their connections are closed, after {}", short(begun.elapsed()));
    assert_eq!(lost, BUILDS as usize);

    let mut heir = cluster.client(5);
    eventually("the replica is the master", || heir.run("ROLE").list()[0].text() == "master");
    let mut other = cluster.client(0);
    let first = builds[0].0.clone();
    let moved = cluster.address("MOVED", slot_of(&first), 5);
    eventually("the others know", || matches!(other.run(&format!("CACHE.GET {first}")), Reply::Error(e) if e == moved));
    println!("    its replica, port {}, is the master after {}", cluster.nodes[5].port, short(begun.elapsed()));

    let (mut parked, mut landed) = (Vec::new(), 0);
    for (key, _, _) in &builds {
        let mut waiter = cluster.client(5);
        cluster.nodes[5].park(&mut waiter, &format!("CACHE.GETORLOCK {key} BLOCK 60000"));
        parked.push(waiter);
    }
    println!("    {} waiters ask there: parked behind the same leases, nobody builds a second time", parked.len());
    for (key, token, _) in &builds {
        landed += u32::from(heir.run(&format!("CACHE.FILL {key} {token} html EX 60")).is_ok());
    }
    println!("    {landed} of {BUILDS} builders fill there, with the tokens of the master that is dead");
    assert_eq!(landed, BUILDS);
    let served = parked.iter_mut().map(|waiter| waiter.read().triple());
    let served = served.filter(|answer| answer.is("HIT", Some("html"))).count();
    println!("    {served} waiters: HIT");
    assert_eq!(served, BUILDS as usize);
    println!(
        "    What a kill can lose: grants that had not reached the replica (here it had caught up). Then somebody else builds, too, and \
         only that FILL is stored."
    );
}

fn short(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        ms => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
    }
}
