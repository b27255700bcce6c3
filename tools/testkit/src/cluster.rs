//! A cluster on this machine: masters that share the slots evenly, each with a replica or none.

use std::ops::Range;

use crc::{Crc, CRC_16_XMODEM};

use crate::{eventually, Client, Server};

const SLOTS: u16 = 16_384;

pub struct Cluster {
    /// The masters first, then their replicas in the same order.
    pub nodes: Vec<Server>,
    masters: usize,
}

impl Cluster {
    /// Nodes that take each other for dead only after a time that no test needs: on a busy machine, a slow node must not
    /// be a dead one.
    pub fn patient(masters: usize, replicas: usize) -> Self {
        Self::with(masters, replicas, 60_000)
    }

    pub fn with(masters: usize, replicas: usize, node_timeout_ms: u32) -> Self {
        let timeout = node_timeout_ms.to_string();
        let options = [
            ["--save", ""],
            ["--cluster-enabled", "yes"],
            ["--cluster-node-timeout", &timeout],
            ["--cluster-require-full-coverage", "no"],
            // A replica follows its failed master's data however old its link is.
            ["--cluster-replica-validity-factor", "0"],
            ["--cluster-allow-replica-migration", "no"],
            ["--repl-diskless-sync-delay", "0"],
        ];
        let nodes = (0..masters + replicas).map(|_| Server::with(options.as_flattened())).collect();
        let cluster = Self { nodes, masters };
        cluster.meet();
        cluster.divide_slots();
        cluster.attach_replicas();
        cluster
    }

    /// The slots that this master had at first.
    pub fn slots(&self, master: usize) -> Range<u16> {
        let border = |index: usize| (usize::from(SLOTS) * index / self.masters) as u16;
        border(master)..border(master + 1)
    }

    /// A key whose slot is this master's at first.
    pub fn key_at(&self, master: usize) -> String {
        key_in(self.slots(master))
    }

    pub fn id(&self, node: usize) -> String {
        self.nodes[node].client().run("CLUSTER MYID").text()
    }

    pub fn client(&self, node: usize) -> Client {
        self.nodes[node].client()
    }

    /// Where `node` sends clients for `slot`: what its refusal says.
    pub fn address(&self, kind: &str, slot: u16, node: usize) -> String {
        format!("{kind} {slot} 127.0.0.1:{}", self.nodes[node].port)
    }

    /// Waits until every node that runs takes `owner` for the slot's master.
    pub fn agree_on(&self, key: &str, owner: usize, nodes: &[usize]) {
        let (slot, call) = (slot_of(key), format!("CACHE.GET {key}"));
        let moved = self.address("MOVED", slot, owner);
        for node in nodes {
            let mut client = self.client(*node);
            eventually("the nodes agree on the slot's owner", || {
                let reply = client.run(&call);
                match &reply {
                    crate::Reply::Error(sentence) => *sentence == moved,
                    _ => *node == owner,
                }
            });
        }
    }

    fn meet(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            let mut client = node.client();
            assert!(client.run(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1)).is_ok());
            for other in &self.nodes[..index] {
                assert!(client.run(&format!("CLUSTER MEET 127.0.0.1 {}", other.port)).is_ok());
            }
        }
        let wanted = self.nodes.len();
        self.everybody("knows everybody", |client| {
            let nodes = client.run("CLUSTER NODES").text();
            nodes.lines().count() == wanted && !nodes.contains("handshake") && !nodes.contains("disconnected")
        });
    }

    fn divide_slots(&self) {
        for master in 0..self.masters {
            let slots = self.slots(master);
            let call = format!("CLUSTER ADDSLOTSRANGE {} {}", slots.start, slots.end - 1);
            assert!(self.client(master).run(&call).is_ok());
        }
        self.everybody("knows all slots", |client| {
            let info = client.run("CLUSTER INFO").text();
            info.contains("cluster_state:ok") && info.contains(&format!("cluster_slots_ok:{SLOTS}"))
        });
    }

    fn attach_replicas(&self) {
        let replicas = self.nodes.len() - self.masters;
        for replica in 0..replicas {
            let call = format!("CLUSTER REPLICATE {}", self.id(replica));
            assert!(self.client(self.masters + replica).run(&call).is_ok());
        }
        for replica in 0..replicas {
            self.nodes[self.masters + replica].catch_up_with(&self.nodes[replica]);
        }
        self.everybody("knows the replicas", |client| {
            client.run("CLUSTER NODES").text().matches("slave").count() == replicas
        });
    }

    fn everybody(&self, what: &str, mut condition: impl FnMut(&mut Client) -> bool) {
        for node in &self.nodes {
            let mut client = node.client();
            eventually(&format!("each node {what}"), || condition(&mut client));
        }
    }
}

/// A key whose slot is one of these.
pub fn key_in(slots: Range<u16>) -> String {
    let mut keys = (0u32..).map(|number| format!("page{number}"));
    keys.find(|key| slots.contains(&slot_of(key))).unwrap()
}

/// The slot of a key, by its tag if it has one.
pub fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    Crc::<u16>::new(&CRC_16_XMODEM).checksum(hashed.as_bytes()) % SLOTS
}
