//! A server of a test's own, with the module loaded.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{eventually, Client, Clock, Reply};

pub struct Server {
    process: Option<Child>,
    pub port: u16,
    directory: tempfile::TempDir,
    options: Vec<String>,
    /// The configuration file.
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    loads_module: bool,
}

impl Server {
    /// A server without persistence.
    pub fn start() -> Self {
        Self::with(&["--save", "", "--appendonly", "no"])
    }

    /// A server with further options.
    pub fn with(options: &[&str]) -> Self {
        Self::prepared(options, None)
    }

    /// A server that goes by a clock of the test's.
    pub fn with_clock(clock: &Clock) -> Self {
        let mut server = Self::idle(&["--save", "", "--appendonly", "no"], None);
        server.environment = clock.environment().to_vec();
        server.launch();
        server
    }

    /// A server with a configuration file.
    pub fn with_file(file: &Path) -> Self {
        Self::prepared(&[], Some(file.to_owned()))
    }

    /// A server that is yet to load the module, with a configuration file or without.
    pub fn without_module(file: Option<&Path>) -> Self {
        let mut server = Self::idle(&["--save", "", "--appendonly", "no"], file.map(Path::to_owned));
        server.loads_module = false;
        server.launch();
        server
    }

    fn prepared(options: &[&str], file: Option<PathBuf>) -> Self {
        let mut server = Self::idle(options, file);
        server.launch();
        server
    }

    fn idle(options: &[&str], file: Option<PathBuf>) -> Self {
        Self {
            process: None,
            port: free_port(),
            directory: tempfile::tempdir().unwrap(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            file,
            environment: Vec::new(),
            loads_module: true,
        }
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
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
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
        matches!(self.process.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
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
            super::Reply::Nil => 0,
            info => info.field("waiters").number(),
        }
    }

    /// A field of INFO.
    pub fn info(&self, field: &str) -> i64 {
        let info = self.client().run("INFO everything").text();
        let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {field} in INFO")).trim().parse().unwrap()
    }

    /// Starts the server, on another port if somebody else took this one meanwhile.
    fn launch(&mut self) {
        while !self.listens_on_its_port() {
            self.port = free_port();
        }
    }

    fn listens_on_its_port(&mut self) -> bool {
        let told_before = self.log().len();
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let program = program();
        let mut command = Command::new(&program);
        command
            // The server takes a file as its first argument only.
            .args(&self.file)
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--enable-debug-command", "local", "--enable-module-command", "local"])
            .args(["--maxclients", "15000"])
            .arg("--dir")
            .arg(self.directory.path())
            .args(&self.options)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        // CONFIG REWRITE adds the module to the file.
        let named = |file: &PathBuf| fs::read_to_string(file).is_ok_and(|text| text.contains("loadmodule"));
        if self.loads_module && !self.file.as_ref().is_some_and(named) {
            command.arg("--loadmodule").arg(module());
        }
        self.process = Some(command.spawn().unwrap_or_else(|error| panic!("{program} cannot be started: {error}")));
        let mut port_is_taken = false;
        eventually("the server answers", || {
            if !self.is_alive() {
                port_is_taken = self.log()[told_before..].contains("Address already in use");
                assert!(port_is_taken, "the server ended: {}", self.log());
            }
            port_is_taken || self.answers()
        });
        !port_is_taken
    }

    /// Whether this very server answers: another can have been first to the port, and be gone in a moment.
    fn answers(&self) -> bool {
        let Ok(mut client) = Client::try_connect(self.port) else { return false };
        let Reply::Text(info) = client.run("INFO server") else { return false };
        let own = self.process.as_ref().map(|process| format!("process_id:{}\r", process.id()));
        own.is_some_and(|own| String::from_utf8_lossy(&info).contains(&own))
            && client.run("PING") == Reply::Word("PONG".to_owned())
    }

    fn signal(&self, name: &str) {
        let pid = self.process.as_ref().expect("the server runs").id();
        let told = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status().unwrap();
        assert!(told.success(), "kill -{name}: {told}");
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("server.log")
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

/// A port that was free a moment ago. Below those that the system gives to outgoing connections: among thousands of
/// clients, one of them would sooner or later come from the very port that a server is about to take, and a client that
/// knocks at a free port of that range can even find itself there.
pub fn free_port() -> u16 {
    const PORTS: RangeInclusive<u16> = 10_000..=29_999;
    // Tests of this process never try the same one; other processes begin elsewhere.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(7919);
    let candidates = std::iter::repeat_with(|| {
        let step = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        PORTS.start() + (step % u32::from(PORTS.end() - PORTS.start())) as u16
    });
    let mut free = candidates.take(PORTS.len()).filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.next().expect("a port is free")
}

/// The server that the tests run on.
pub fn program() -> String {
    std::env::var("CORRAL_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

pub fn module() -> PathBuf {
    let module = match std::env::var_os("CORRAL_MODULE") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/libcorral.so"),
    };
    assert!(module.exists(), "{} does not exist: run `make build` first", module.display());
    module
}
