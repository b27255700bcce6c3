//! Three Sentinels that watch one master.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

use super::server::{free_port, program};
use super::{eventually, Client, Reply, Server};

pub struct Sentinels {
    processes: Vec<(Child, u16)>,
    directory: tempfile::TempDir,
}

impl Sentinels {
    /// Starts them and waits until they know each other and the master's replicas.
    pub fn watch(master: &Server, replicas: usize) -> Self {
        let mut sentinels = Self { processes: Vec::new(), directory: tempfile::tempdir().unwrap() };
        for _ in 0..3 {
            sentinels.start(master.port);
        }
        for (_, port) in &sentinels.processes {
            let mut client = Client::connect(*port);
            eventually("the Sentinels know everybody", || {
                let agreed = matches!(client.run("SENTINEL CKQUORUM shop"), Reply::Word(ok) if ok.starts_with("OK 3 "));
                agreed && client.run("SENTINEL REPLICAS shop").list().len() == replicas
            });
        }
        sentinels
    }

    /// The port of the master, as the first Sentinel has it.
    pub fn master(&self) -> u16 {
        let address = Client::connect(self.processes[0].1).run("SENTINEL GET-MASTER-ADDR-BY-NAME shop");
        address.list()[1].text().parse().unwrap()
    }

    fn start(&mut self, master: u16) {
        let port = free_port();
        let directory = self.directory.path().join(port.to_string());
        fs::create_dir(&directory).unwrap();
        let file = directory.join("sentinel.conf");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor shop 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds shop 2000\nsentinel failover-timeout shop 10000\n",
            directory.display()
        );
        fs::write(&file, settings).unwrap();
        let log = File::create(self.directory.path().join(format!("{port}.log"))).unwrap();
        let mut command = Command::new(program());
        command.arg(&file).arg("--sentinel").stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.processes.push((command.spawn().unwrap(), port));
        eventually("the Sentinel answers", || {
            Client::try_connect(port).is_ok_and(|mut client| client.run("PING") == Reply::Word("PONG".to_owned()))
        });
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        for (process, port) in &mut self.processes {
            if std::thread::panicking() {
                let log = fs::read_to_string(self.directory.path().join(format!("{port}.log"))).unwrap_or_default();
                eprintln!("--- log of the Sentinel on port {port} ---\n{log}");
            }
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
