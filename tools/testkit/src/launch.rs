//! How a server is started: on a free port of the loopback interface, in a directory of its own, until it answers.
//! Tests start theirs through [`crate::Server`], programs that explain their failures through this.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

use crate::ports::free_port;
use crate::process::{Process, Tether};

/// A server that is to be started, once or again.
#[derive(Debug, Clone)]
pub struct Launch {
    kind: Kind,
    /// A program, and what must come before all options: the server takes a file as its first argument only.
    program: Vec<OsString>,
    options: Vec<OsString>,
    environment: Vec<(String, String)>,
    tether: Tether,
    patience: Duration,
}

/// A server that answers.
#[derive(Debug)]
pub struct Running {
    pub process: Process,
    pub port: u16,
}

/// What differs between the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Redis, Valkey, and Sentinels.
    Redis,
    Memcached,
}

impl Launch {
    /// The server that `CORRAL_SERVER` names, or `redis-server`.
    pub fn redis() -> Self {
        Self::redis_of(Path::new(&program()))
    }

    /// This server. It listens on 127.0.0.1 alone.
    pub fn redis_of(program: &Path) -> Self {
        Self::of(Kind::Redis, program.as_os_str())
    }

    pub fn memcached() -> Self {
        // It refuses to run as root without being told as whom.
        Self::of(Kind::Memcached, OsStr::new("memcached")).with(["-l", "127.0.0.1", "-U", "0", "-u", "nobody"])
    }

    fn of(kind: Kind, program: &OsStr) -> Self {
        Self {
            kind,
            program: vec![program.to_owned()],
            options: Vec::new(),
            environment: Vec::new(),
            tether: Tether::Terminal,
            patience: Duration::from_secs(120),
        }
    }

    /// Adds options.
    #[must_use]
    pub fn with<Word: Into<OsString>>(mut self, options: impl IntoIterator<Item = Word>) -> Self {
        self.options.extend(options.into_iter().map(Into::into));
        self
    }

    /// Has it read a configuration file.
    #[must_use]
    pub fn with_file(mut self, file: &Path) -> Self {
        self.program.push(file.into());
        self
    }

    /// Lets the module be loaded.
    #[must_use]
    pub fn with_module(self, module: &Path) -> Self {
        self.with([OsStr::new("--loadmodule"), module.as_os_str()])
    }

    /// Has the server run under another program, as valgrind.
    #[must_use]
    pub fn under<Word: Into<OsString>>(mut self, outer: impl IntoIterator<Item = Word>) -> Self {
        self.program.splice(0..0, outer.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn in_environment(mut self, variables: &[(String, String)]) -> Self {
        self.environment.extend(variables.iter().cloned());
        self
    }

    #[must_use]
    pub fn tethered(mut self, tether: Tether) -> Self {
        self.tether = tether;
        self
    }

    /// How long it may take to answer.
    #[must_use]
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts it in `directory`, where its log is [`log_path`].
    pub fn start(&self, directory: &Path) -> Result<Running> {
        self.start_on(free_port()?, directory, || Ok(()))
    }

    /// The same, trying this port first. An error of `go_on`, which is asked while waiting, ends the wait.
    pub fn start_on(&self, port: u16, directory: &Path, go_on: impl Fn() -> Result<()>) -> Result<Running> {
        let mut port = port;
        loop {
            if let Some(running) = self.attempt(port, directory, &go_on)? {
                return Ok(running);
            }
            port = free_port()?;
        }
    }

    /// `None` if somebody else took the port meanwhile.
    fn attempt(&self, port: u16, directory: &Path, go_on: &impl Fn() -> Result<()>) -> Result<Option<Running>> {
        let log = log_path(directory);
        let told_before = read(&log).len();
        let process = Process::start(&self.command(port, directory), directory, &log, self.tether)?;
        let mut running = Running { process, port };
        let deadline = Instant::now() + self.patience;
        loop {
            go_on()?;
            let ended = running.process.ended()?;
            let log = read(&log);
            let told = log.get(told_before..).unwrap_or_default();
            if told.contains("Address already in use") {
                return Ok(None);
            }
            if let Some(status) = ended {
                bail!("the server ended at once ({status}). The end of its log:\n{}", end_of(told));
            }
            if self.kind.is_up(port, told) {
                return Ok(Some(running));
            }
            if Instant::now() > deadline {
                let seconds = self.patience.as_secs();
                bail!("the server did not answer within {seconds} s. The end of its log:\n{}", end_of(told));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn command(&self, port: u16, directory: &Path) -> Command {
        let mut words = self.program.iter();
        let mut command = Command::new(words.next().map(OsString::as_os_str).unwrap_or_default());
        command.args(words).envs(self.environment.iter().map(|(name, value)| (name, value)));
        let port = port.to_string();
        match self.kind {
            Kind::Redis => command.args(["--bind", "127.0.0.1", "--port", &port, "--dir"]).arg(directory),
            Kind::Memcached => command.args(["-p", &port]),
        };
        command.args(&self.options);
        command
    }
}

impl Kind {
    /// Whether this very server answers: another can have been first to the port, and be gone in a moment.
    fn is_up(self, port: u16, told: &str) -> bool {
        match self {
            Self::Redis => {
                let is_ready =
                    ["Ready to accept connections", "Sentinel ID is"].iter().any(|words| told.contains(words));
                is_ready && (answers(port, b"PING\r\n", b"+PONG") || answers(port, b"PING\r\n", b"-NOAUTH"))
            }
            Self::Memcached => answers(port, b"mn\r\n", b"MN"),
        }
    }
}

fn answers(port: u16, question: &[u8], answer: &[u8]) -> bool {
    let ask = || -> std::io::Result<bool> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.write_all(question)?;
        let mut got = vec![0; answer.len()];
        stream.read_exact(&mut got)?;
        Ok(got == answer)
    };
    ask().unwrap_or(false)
}

/// One question of many.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// The log of a server that works in this directory.
pub fn log_path(directory: &Path) -> PathBuf {
    directory.join("server.log")
}

/// The last lines of the log of a server that works in this directory, indented.
pub fn log_end(directory: &Path) -> String {
    end_of(&read(&log_path(directory)))
}

fn read(log: &Path) -> String {
    std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(12)).map(|line| format!("  {line}\n")).collect()
}

/// The server that tests run on.
pub fn program() -> String {
    std::env::var("CORRAL_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

/// The module that tests load: what `CORRAL_MODULE` names, or what `make build` built.
pub fn module() -> Result<PathBuf> {
    absolute(&std::env::var_os("CORRAL_MODULE").map_or_else(built_module, PathBuf::from))
}

/// Where `make build` puts the module, on macOS too.
pub fn built_module() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    root.join("target/release/libcorral.so")
}

/// Where this module lies, as a server that runs in another directory has to be told.
pub fn absolute(module: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(module)
        .with_context(|| format!("the module is not there: {}. Run `make build` first", module.display()))
}
