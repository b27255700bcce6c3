//! Three Sentinels that watch one master.

use std::fs;

use crate::launch::{log_end, Launch, Running};
use crate::{eventually, Client, Reply, Server};

pub struct Sentinels {
    nodes: Vec<(Running, tempfile::TempDir)>,
}

impl Sentinels {
    /// Starts them and waits until they know each other and the master's replicas.
    pub fn watch(master: &Server, replicas: usize) -> Self {
        let sentinels = Self { nodes: (0..3).map(|_| start(master.port)).collect() };
        for (node, _) in &sentinels.nodes {
            let mut client = Client::connect(node.port);
            eventually("the Sentinels know everybody", || {
                let agreed = matches!(client.run("SENTINEL CKQUORUM shop"), Reply::Word(ok) if ok.starts_with("OK 3 "));
                agreed && client.run("SENTINEL REPLICAS shop").list().len() == replicas
            });
        }
        sentinels
    }

    /// The port of the master, as the first Sentinel has it.
    pub fn master(&self) -> u16 {
        let address = Client::connect(self.nodes[0].0.port).run("SENTINEL GET-MASTER-ADDR-BY-NAME shop");
        address.list()[1].text().parse().unwrap()
    }
}

fn start(master: u16) -> (Running, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sentinel.conf");
    let settings = format!(
        "sentinel monitor shop 127.0.0.1 {master} 2\nsentinel down-after-milliseconds shop 2000\n\
         sentinel failover-timeout shop 10000\n"
    );
    fs::write(&file, settings).unwrap();
    let started = Launch::redis().with_file(&file).with(["--sentinel"]).start(directory.path());
    (started.unwrap_or_else(|error| panic!("{error:#}")), directory)
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (node, directory) in &self.nodes {
                eprintln!("--- log of the Sentinel on port {} ---\n{}", node.port, log_end(directory.path()));
            }
        }
    }
}
