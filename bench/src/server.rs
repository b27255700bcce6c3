//! The servers of a run: each on a free port of the loopback interface, in a temporary directory, keeping nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use corral_rig::interrupt;
use corral_rig::process::{free_port, log_end, Process};
use tempfile::TempDir;

use crate::options::Options;
use crate::wire::{line, Connection};

/// A running server, ended when dropped.
pub(crate) struct Server {
    process: Process,
    pub(crate) port: u16,
    // Dropped after the process is gone.
    directory: TempDir,
}

impl Server {
    /// A server with the module.
    pub(crate) async fn start(options: &Options) -> Result<Self> {
        let directory = directory()?;
        Self::redis(Command::new(program(&options.server)?), options, directory).await
    }

    /// The same under callgrind, which writes what it counted so far whenever the server executes ECHO.
    pub(crate) async fn start_counted(options: &Options) -> Result<Self> {
        let directory = directory()?;
        let mut command = Command::new("valgrind");
        command
            .args(["--tool=callgrind", "--dump-before=echoCommand", "--compress-strings=no", "--compress-pos=no"])
            .arg("--soname-synonyms=somalloc=*jemalloc*")
            .arg(format!("--callgrind-out-file={}", directory.path().join("counted").display()))
            .arg(program(&options.server)?)
            // The server is fifty times slower here, and its housekeeping as often as ever: less of it per command.
            .args(["--hz", "1", "--dynamic-hz", "no"]);
        Self::redis(command, options, directory).await
    }

    pub(crate) async fn start_memcached() -> Result<Self> {
        let directory = directory()?;
        let port = free_port()?;
        let mut command = Command::new("memcached");
        // It refuses to run as root without being told as whom, and one thread is what Redis has.
        command
            .args(["-l", "127.0.0.1", "-U", "0", "-t", "1", "-c", "4096", "-u", "nobody", "-p"])
            .arg(port.to_string());
        let mut server = Self { process: Process::start(&mut command)?, port, directory };
        server.wait_until_up(b"mn\r\n", "MN").await?;
        Ok(server)
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

    async fn redis(mut command: Command, options: &Options, directory: TempDir) -> Result<Self> {
        if !options.module.is_file() {
            bail!("the module is not there: {}. Run `make build` first", options.module.display());
        }
        let port = free_port()?;
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--logfile", LOG, "--maxclients", MAX_CLIENTS, "--port"])
            .arg(port.to_string())
            .arg("--dir")
            .arg(directory.path())
            .arg("--loadmodule")
            .arg(fs::canonicalize(&options.module)?)
            .current_dir(directory.path());
        let mut server = Self { process: Process::start(&mut command)?, port, directory };
        server.wait_until_up(&line("PING"), "+PONG").await?;
        Ok(server)
    }

    async fn wait_until_up(&mut self, ping: &[u8], pong: &str) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            interrupt::check()?;
            if let Some(status) = self.process.ended()? {
                bail!(
                    "the server ended at once ({status}). The end of its log:\n{}",
                    log_end(&self.directory.path().join(LOG))
                );
            }
            if let Ok(mut connection) = self.connect().await {
                connection.write(ping).await?;
                if connection.receive_line().await.is_ok_and(|answer| answer == pong) {
                    return Ok(());
                }
            }
            if Instant::now() > deadline {
                bail!(
                    "the server did not answer in time. The end of its log:\n{}",
                    log_end(&self.directory.path().join(LOG))
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
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

fn directory() -> Result<TempDir> {
    tempfile::Builder::new().prefix("corral-bench").tempdir().context("no temporary directory")
}

const LOG: &str = "server.log";
const MAX_CLIENTS: &str = "11000";
/// Under callgrind a server takes a few seconds.
const START_LIMIT: Duration = Duration::from_secs(60);
