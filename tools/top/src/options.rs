//! What can be asked for on the command line.

use std::time::Duration;

use clap::Parser;

/// One Redis server's leases, waiters and rebuilds, live: reads INFO and CACHE.LEASES, changes nothing. q ends it.
#[derive(Parser, Clone, Debug)]
#[command(version)]
pub(crate) struct Options {
    /// The server: redis://USER:PASSWORD@HOST:PORT, or redis+unix:///PATH. In the environment, other users of the
    /// machine do not see the password
    #[arg(env = "CORRAL_URL", hide_env_values = true, default_value = "redis://127.0.0.1:6379")]
    pub(crate) url: String,

    /// Print one frame as plain text, over two readings, and end. Fails if the server cannot be read
    #[arg(long)]
    pub(crate) once: bool,

    /// Between two readings, in milliseconds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    interval_ms: u64,

    /// The width of the frame that --once prints
    #[arg(long, default_value_t = 110, value_parser = clap::value_parser!(u16).range(60..=400))]
    pub(crate) columns: u16,
}

impl Options {
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }
}
