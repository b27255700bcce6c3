//! A server of a test's own, with the module loaded.

use std::path::{Path, PathBuf};

use crate::launch::{self, log_path, Launch, Running};
use crate::{eventually, free_port, Client, Clock};

pub struct Server {
    running: Option<Running>,
    pub port: u16,
    launch: Launch,
    directory: tempfile::TempDir,
}

/// Options of a server without persistence.
const KEEPS_NOTHING: [&str; 4] = ["--save", "", "--appendonly", "no"];

impl Server {
    /// A server without persistence.
    pub fn start() -> Self {
        Self::with(&KEEPS_NOTHING)
    }

    /// A server with further options.
    pub fn with(options: &[&str]) -> Self {
        Self::launched(Self::plain().with(options).with_module(&module()))
    }

    /// A server that goes by a clock of the test's.
    pub fn with_clock(clock: &Clock) -> Self {
        let launch = Self::plain().with(KEEPS_NOTHING).with_module(&module());
        Self::launched(launch.in_environment(&clock.environment()))
    }

    /// A server with a configuration file.
    pub fn with_file(file: &Path) -> Self {
        // CONFIG REWRITE adds the module to the file.
        let loads_module = std::fs::read_to_string(file).is_ok_and(|text| text.contains("loadmodule"));
        let launch = Self::plain().with_file(file);
        Self::launched(if loads_module { launch } else { launch.with_module(&module()) })
    }

    /// A server that is yet to load the module, with a configuration file or without.
    pub fn without_module(file: Option<&Path>) -> Self {
        let launch = Self::plain().with(KEEPS_NOTHING);
        Self::launched(match file {
            Some(file) => launch.with_file(file),
            None => launch,
        })
    }

    fn plain() -> Launch {
        Launch::redis()
            .with(["--enable-debug-command", "local", "--enable-module-command", "local"])
            .with(["--maxclients", "15000"])
    }

    fn launched(launch: Launch) -> Self {
        let (port, directory) = (free_port().unwrap(), tempfile::tempdir().unwrap());
        let mut server = Self { running: None, port, launch, directory };
        server.launch();
        server
    }

    /// A replica of this server, which has taken over all that it holds.
    pub fn replica(&self) -> Self {
        self.replica_with(&[])
    }

    /// The same, with further options.
    pub fn replica_with(&self, options: &[&str]) -> Self {
        let port = self.port.to_string();
        let mut all = vec!["--save", "", "--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1", &port];
        all.extend(options);
        let replica = Self::with(&all);
        replica.catch_up_with(self);
        replica
    }

    /// Waits until this replica has seen everything that its master, at the head of the chain, did so far.
    pub fn catch_up_with(&self, head: &Self) {
        let wanted = head.info("master_repl_offset");
        let mut client = self.client();
        eventually("the replica is in step", || {
            let link_is_up = client.run("INFO replication").text().contains("master_link_status:up");
            link_is_up && self.info("slave_repl_offset") >= wanted
        });
    }

    /// Waits until this server counts its replica as one that follows.
    pub fn knows_its_replica(&self) {
        let mut client = self.client();
        eventually("the replica is online", || client.run("INFO replication").text().contains("state=online"));
    }

    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    pub fn clients(&self, count: usize) -> Vec<Client> {
        (0..count).map(|_| self.client()).collect()
    }

    /// Ends the server as a power cut would, and starts it again on the same data.
    pub fn restart(&mut self) {
        self.restart_after(|_| {});
    }

    /// The same, with something done to the directory of its data in between.
    pub fn restart_after(&mut self, change: impl FnOnce(&Path)) {
        self.kill();
        change(self.directory.path());
        self.launch();
    }

    /// Ends the server as a power cut would.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Stops the process where it stands: a server that lags, without a closed connection. Until [`Server::thaw`].
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// Whether the server is still running.
    pub fn is_alive(&mut self) -> bool {
        self.running.as_mut().is_some_and(|running| running.process.ended().unwrap().is_none())
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(self.directory.path())).unwrap_or_default()
    }

    /// Parks `client` by a GETORLOCK and waits until the server says so.
    pub fn park(&self, client: &mut Client, line: &str) {
        let key = line.split_whitespace().nth(1).unwrap().to_owned();
        let before = self.waiters(&key);
        client.send(line);
        eventually("the client is parked", || self.waiters(&key) > before);
    }

    /// Parks many clients, each by the same GETORLOCK.
    pub fn park_all(&self, clients: &mut [Client], line: &str) {
        let key = line.split_whitespace().nth(1).unwrap().to_owned();
        let wanted = self.waiters(&key) + clients.len() as i64;
        for client in clients.iter_mut() {
            client.send(line);
        }
        eventually("all clients are parked", || self.waiters(&key) == wanted);
    }

    /// How many clients wait on a key.
    pub fn waiters(&self, key: &str) -> i64 {
        match self.client().run(&format!("CACHE.INFO {key}")) {
            crate::Reply::Nil => 0,
            info => info.field("waiters").number(),
        }
    }

    /// A field of INFO, asked on a connection of its own.
    pub fn info(&self, field: &str) -> i64 {
        self.client().info(field)
    }

    /// Starts the server, on another port if somebody else took this one meanwhile.
    fn launch(&mut self) {
        let started = self.launch.start_on(self.port, self.directory.path(), || Ok(()));
        let running = started.unwrap_or_else(|error| panic!("{error:#}"));
        self.port = running.port;
        self.running = Some(running);
    }

    fn signal(&self, name: &str) {
        self.running.as_ref().expect("the server runs").process.signal(name).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the server on port {} ---\n{}", self.port, self.log());
        }
        // A memory checker looks for leaks when the server ends by itself.
        if std::env::var_os("CORRAL_END_GENTLY").is_some() && self.is_alive() {
            if let Ok(mut client) = Client::try_connect(self.port) {
                client.send("SHUTDOWN NOSAVE");
                eventually("the server ends", || !self.is_alive());
            }
        }
        self.kill();
    }
}

pub fn module() -> PathBuf {
    launch::module().unwrap_or_else(|error| panic!("{error:#}"))
}
