//! The servers of a run: each on a free port of the loopback interface, in a temporary directory, keeping nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use corral_testkit::launch::absolute;
use corral_testkit::{free_port, Launch, Running, Tether};
use tempfile::TempDir;

use crate::interrupt;
use crate::options::Subject;
use crate::strategies::Strategy;
use crate::wire::{line, Connection};

/// A running server, ended when dropped.
pub(crate) struct Server {
    _running: Running,
    pub(crate) port: u16,
    // Dropped after the process is gone.
    directory: TempDir,
}

impl Server {
    /// A server with the module.
    pub(crate) async fn start(options: &Subject) -> Result<Self> {
        Self::launched(redis(&program(&options.server)?, options)?)
    }

    /// The same under callgrind, which writes what it counted so far whenever the server executes ECHO.
    pub(crate) async fn start_counted(options: &Subject) -> Result<Self> {
        let launch = redis(&program(&options.server)?, options)?
            .under([
                "valgrind",
                "--tool=callgrind",
                "--dump-before=echoCommand",
                "--compress-strings=no",
                "--compress-pos=no",
                "--soname-synonyms=somalloc=*jemalloc*",
                // In the directory that the server works in.
                "--callgrind-out-file=counted",
            ])
            // The server is fifty times slower here, and its housekeeping as often as ever: less of it per command.
            .with(["--hz", "1", "--dynamic-hz", "no"]);
        Self::launched(launch)
    }

    pub(crate) async fn start_memcached() -> Result<Self> {
        // One thread is what Redis has.
        Self::launched(Launch::memcached().with(["-t", "1", "-c", "4096"]))
    }

    pub(crate) async fn connect(&self) -> Result<Connection> {
        Connection::open(self.port).await
    }

    pub(crate) async fn connect_all(&self, count: usize) -> Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            interrupt::check()?;
            connections.push(self.connect().await?);
        }
        Ok(connections)
    }

    /// An empty cache, for the next run.
    pub(crate) async fn flush(&self, strategy: Strategy) -> Result<()> {
        let mut connection = self.connect().await?;
        match strategy {
            Strategy::Memcached => {
                connection.send(b"flush_all\r\n").await?;
                connection.receive_line().await.map(drop)
            }
            _ => connection.call(&line("FLUSHALL")).await.map(drop),
        }
    }

    /// What callgrind wrote last, and how many times it has written.
    pub(crate) fn last_count(&self) -> Result<(usize, String)> {
        let mut number = 0;
        while self.directory.path().join(format!("counted.{}", number + 1)).is_file() {
            number += 1;
        }
        let path = self.directory.path().join(format!("counted.{number}"));
        let text = fs::read_to_string(path).context("callgrind wrote nothing: the server has no symbols")?;
        Ok((number, text))
    }

    fn launched(launch: Launch) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("corral-lab").tempdir().context("no temporary directory")?;
        let launch = launch.tethered(Tether::Owner).within(START_LIMIT);
        let running = launch.start_on(free_port()?, directory.path(), interrupt::check)?;
        Ok(Self { port: running.port, _running: running, directory })
    }
}

fn redis(program: &Path, options: &Subject) -> Result<Launch> {
    Ok(Launch::redis_of(program)
        .with(["--save", "", "--appendonly", "no", "--daemonize", "no", "--maxclients", MAX_CLIENTS])
        .with_module(&absolute(&options.module)?))
}

/// Whether there is such a program.
pub(crate) fn is_installed(name: &str) -> bool {
    program(Path::new(name)).is_ok()
}

/// valgrind does not search PATH for what it runs.
fn program(name: &Path) -> Result<PathBuf> {
    if name.components().count() > 1 {
        return fs::canonicalize(name).with_context(|| format!("there is no {}", name.display()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("there is no {} on PATH", name.display()))
}

const MAX_CLIENTS: &str = "11000";
/// Under callgrind a server takes a few seconds.
const START_LIMIT: Duration = Duration::from_secs(60);
