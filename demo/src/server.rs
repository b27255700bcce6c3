//! The demo's own redis-server: on a free port of the loopback interface, in a temporary directory, keeping nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use corral_rig::interrupt;
use corral_rig::process::{free_port, log_end, Process};

/// A running server, ended when dropped.
pub(crate) struct Server {
    process: Process,
    port: u16,
}

impl Server {
    /// Starts `program` in `directory` with `module`, and waits until it answers.
    pub(crate) fn start(program: &Path, module: &Path, clients: usize, directory: &Path) -> Result<Self> {
        let module = find_module(module)?;
        // Between choosing a port and the server's binding to it somebody else may take it: then choose again.
        for _ in 1..PORT_ATTEMPTS {
            if let Ok(server) = Self::start_on(free_port()?, program, &module, clients, directory) {
                return Ok(server);
            }
            interrupt::check()?;
            if !log_says(directory, "Address already in use") {
                break;
            }
        }
        Self::start_on(free_port()?, program, &module, clients, directory)
    }

    pub(crate) fn connect(&self) -> Result<redis::Connection> {
        connect_to(self.port)
    }

    /// An empty server, for the next run.
    pub(crate) fn flush(&self) -> Result<()> {
        redis::cmd("FLUSHALL").exec(&mut self.connect()?).context("cannot flush the server")
    }

    fn start_on(port: u16, program: &Path, module: &Path, clients: usize, directory: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--logfile", LOG])
            .arg("--maxclients")
            .arg((clients + SPARE_CLIENTS).to_string())
            .arg("--port")
            .arg(port.to_string())
            .arg("--dir")
            .arg(directory)
            .arg("--loadmodule")
            .arg(module)
            .current_dir(directory);
        let mut server = Self { process: Process::start(&mut command)?, port };
        server.wait_until_up(directory)?;
        Ok(server)
    }

    fn wait_until_up(&mut self, directory: &Path) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            interrupt::check()?;
            if let Some(status) = self.process.ended()? {
                bail!("redis-server ended at once ({status}). The end of its log:\n{}", log_end(&directory.join(LOG)));
            }
            let answers = connect_to(self.port).and_then(|mut c| Ok(redis::cmd("PING").exec(&mut c)?));
            match answers {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context(format!(
                        "redis-server did not answer within {} s. The end of its log:\n{}",
                        START_LIMIT.as_secs(),
                        log_end(&directory.join(LOG))
                    )));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

fn connect_to(port: u16) -> Result<redis::Connection> {
    let client = redis::Client::open(("127.0.0.1", port))?;
    let connection = client.get_connection_with_timeout(START_LIMIT).context("cannot connect to redis-server")?;
    connection.set_read_timeout(Some(READ_LIMIT))?;
    Ok(connection)
}

fn find_module(path: &Path) -> Result<PathBuf> {
    if !path.is_file() {
        bail!("the module is not there: {}. Run `make build` first", path.display());
    }
    // Made absolute, as the server runs in another directory.
    fs::canonicalize(path).with_context(|| format!("cannot find {}", path.display()))
}

fn log_says(directory: &Path, words: &str) -> bool {
    fs::read_to_string(directory.join(LOG)).is_ok_and(|log| log.contains(words))
}

const LOG: &str = "redis.log";
/// The demo's own connections, and those of somebody who looks at the server meanwhile.
const SPARE_CLIENTS: usize = 100;
const PORT_ATTEMPTS: usize = 3;
const START_LIMIT: Duration = Duration::from_secs(15);
/// Longer than any call may block (strategies::PATIENCE).
const READ_LIMIT: Duration = Duration::from_secs(90);
