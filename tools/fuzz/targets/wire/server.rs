//! The server under test, and the operator's connection to it.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use corral_testkit::launch::module;
use corral_testkit::{Launch, Running, Tether};
use redis::Value;

pub struct Server {
    _running: Running,
    pub port: u16,
    operator: Connection,
    directory: PathBuf,
    sessions: u64,
    /// CONFIG SET, and every setting of ours with its default.
    defaults: Vec<String>,
}

/// One connection that is read.
pub struct Connection {
    stream: BufReader<Uninterrupted>,
    parser: redis::Parser,
}

/// The fuzzer's own alarm clock interrupts a read that has a time-out; that is no answer of the server's.
struct Uninterrupted(TcpStream);

/// How long the server may take for anything.
const PATIENCE: Duration = Duration::from_secs(20);

impl Server {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap().keep();
        let launch = Launch::redis()
            .with(["--save", "", "--enable-debug-command", "local"])
            .with(["--maxmemory", "512mb", "--maxmemory-policy", "allkeys-lru", "--busy-reply-threshold", "100"])
            // Anything that Corral has to do with, and most of the rest: not what ends, stops or takes over a server.
            .with(["--user", "default", "on", "nopass", "~*", "&*", "+@all", "-@admin", "-@dangerous", "-@scripting"])
            .with(["+restore", "+swapdb", "+flushdb", "+client|unblock", "+client|no-evict"])
            .with(["--user", "operator", "on", "nopass", "~*", "&*", "+@all"])
            .with_module(&module().unwrap_or_else(|error| panic!("{error:#}")))
            .within(PATIENCE)
            // The fuzzer ends by `exit` or a signal, and drops nothing.
            .tethered(Tether::Program);
        let running = launch.start(&directory).unwrap_or_else(|error| panic!("{error:#}"));
        let mut operator = Connection::open(running.port).expect("the server accepts connections");
        assert_eq!(operator.call(&["AUTH", "operator", "x"]), Some(Value::Okay));
        let mut defaults = vec!["CONFIG".to_owned(), "SET".to_owned()];
        if let Some(Value::Array(settings)) = operator.call(&["CONFIG", "GET", "corral.*"]) {
            defaults.extend(settings.into_iter().filter_map(|word| redis::from_redis_value(word).ok()));
        }
        assert!(defaults.len() > 2, "CONFIG GET knows no settings");
        Self { port: running.port, _running: running, operator, directory, sessions: 0, defaults }
    }

    /// Runs a command of the operator's.
    pub fn operate(&mut self, words: &[&str]) -> Value {
        match self.operator.call(words) {
            Some(reply) => reply,
            None => self.give_up(&format!("no reply to {words:?}")),
        }
    }

    /// Ends this process, and with it the search, if the session did harm.
    pub fn must_be_well(&mut self) {
        if self.operate(&["PING"]) != Value::SimpleString("PONG".to_owned()) {
            self.give_up("PING is not answered with PONG");
        }
        if self.field("corral_panics_caught") != 0 {
            self.give_up("a panic was caught");
        }
        let started = Instant::now();
        while self.field("corral_waiters") != 0 {
            if started.elapsed() > PATIENCE {
                self.give_up("clients are left parked although every connection is closed");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // What one session set is not the next one's: a limit of one waiter would leave it little to find.
        let defaults = self.defaults.clone();
        if self.operate(&defaults.iter().map(String::as_str).collect::<Vec<_>>()) != Value::Okay {
            self.give_up("the defaults are refused");
        }
        // A fresh start now and then; most sessions meet what earlier ones left behind.
        self.sessions += 1;
        if self.sessions % 64 == 0 {
            self.operate(&["FLUSHALL"]);
        }
        if self.sessions % 512 == 0 {
            let reloaded = self.operate(&["DEBUG", "RELOAD"]);
            // Not everywhere allowed; where it is, everything comes back.
            if let Value::ServerError(error) = &reloaded {
                if !format!("{error:?}").contains("not allowed") {
                    self.give_up(&format!("DEBUG RELOAD: {reloaded:?}"));
                }
            }
        }
    }

    fn field(&mut self, name: &str) -> u64 {
        let Value::BulkString(info) = self.operate(&["INFO", "corral"]) else { self.give_up("INFO is not answered") };
        let info = String::from_utf8_lossy(&info).into_owned();
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|number| number.trim().parse().ok())
            .unwrap_or_else(|| self.give_up(&format!("no {name} in INFO")))
    }

    fn give_up(&mut self, why: &str) -> ! {
        let log = std::fs::read_to_string(self.directory.join("server.log")).unwrap_or_default();
        panic!("{why}; the server's log:\n{log}");
    }
}

impl Connection {
    fn open(port: u16) -> Option<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self { stream: BufReader::new(Uninterrupted(stream)), parser: redis::Parser::new() })
    }

    fn call(&mut self, words: &[&str]) -> Option<Value> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        self.stream.get_mut().0.write_all(&command.get_packed_command()).ok()?;
        self.parser.parse_value(&mut self.stream).ok()
    }
}

impl Read for Uninterrupted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}
