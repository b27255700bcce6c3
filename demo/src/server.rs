//! The demo's own redis-server: on a free port of the loopback interface, in a temporary directory, keeping nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use corral_rig::interrupt;
use corral_testkit::launch::absolute;
use corral_testkit::{free_port, Launch, Running, Tether};

/// A running server, ended when dropped.
pub(crate) struct Server(Running);

impl Server {
    /// Starts `program` in `directory` with `module`, and waits until it answers.
    pub(crate) fn start(program: &Path, module: &Path, clients: usize, directory: &Path) -> Result<Self> {
        let launch = Launch::redis_of(program)
            .with(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .with(["--maxclients".to_owned(), (clients + SPARE_CLIENTS).to_string()])
            .with_module(&absolute(module)?)
            .tethered(Tether::Owner)
            .within(START_LIMIT);
        Ok(Self(launch.start_on(free_port()?, directory, interrupt::check)?))
    }

    pub(crate) fn connect(&self) -> Result<redis::Connection> {
        let client = redis::Client::open(("127.0.0.1", self.0.port))?;
        let connection = client.get_connection_with_timeout(START_LIMIT).context("cannot connect to redis-server")?;
        connection.set_read_timeout(Some(READ_LIMIT))?;
        Ok(connection)
    }

    /// An empty server, for the next run.
    pub(crate) fn flush(&self) -> Result<()> {
        redis::cmd("FLUSHALL").exec(&mut self.connect()?).context("cannot flush the server")
    }
}

/// The demo's own connections, and those of somebody who looks at the server meanwhile.
const SPARE_CLIENTS: usize = 100;
const START_LIMIT: Duration = Duration::from_secs(15);
/// Longer than any call may block (strategies::PATIENCE).
const READ_LIMIT: Duration = Duration::from_secs(90);
