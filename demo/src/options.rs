//! What can be asked for on the command line, and what follows from it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

/// A cache stampede and what ends it: the same herd against plain cache-aside, a SET NX lock and Corral.
#[derive(Parser, Clone, Debug)]
#[command(version)]
pub(crate) struct Options {
    /// Client connections, all asking for the same report
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5000))]
    clients: u32,

    /// How often the cache entry expires in each run
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    expiries: u32,

    /// How long the cached report lives, in milliseconds
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(50..=600_000))]
    ttl_ms: u64,

    /// How long the report's query should take on its own, in milliseconds: the database is filled until it does
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(5..=5000))]
    query_ms: u64,

    /// No request begins after this many seconds of one run: plain cache-aside would take minutes
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u64).range(1..=3600))]
    max_seconds: u64,

    /// The module to load
    #[arg(long, env = "CORRAL_MODULE", value_name = "PATH", default_value_os_t = built_module())]
    pub(crate) module: PathBuf,

    /// The Redis server to start
    #[arg(long, env = "CORRAL_SERVER", value_name = "PATH", default_value = "redis-server")]
    pub(crate) server: PathBuf,

    /// Where the picture goes
    #[arg(long, value_name = "FILE", default_value = "demo-report.html")]
    pub(crate) out: PathBuf,

    /// A small herd and a small database: over in a few seconds, to see that everything works
    #[arg(long, conflicts_with_all = ["clients", "expiries", "ttl_ms", "query_ms", "max_seconds"])]
    quick: bool,
}

/// How the herd behaves; the same for all three runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) clients: usize,
    pub(crate) expiries: usize,
    pub(crate) ttl: Duration,
    /// What the report's query is meant to take when nothing else runs.
    pub(crate) query: Duration,
    /// No request begins later than this in a run.
    pub(crate) limit: Duration,
    /// What a client does between two requests takes between these two.
    pub(crate) think: (Duration, Duration),
}

impl Options {
    pub(crate) fn setting(&self) -> Setting {
        // A client thinks long enough that Redis is not the bottleneck, and less than a rebuild takes,
        // so that (nearly) the whole herd meets every expiry.
        let think = (Duration::from_millis(50), Duration::from_millis(250));
        if self.quick {
            return Setting {
                clients: 30,
                expiries: 2,
                ttl: Duration::from_millis(300),
                query: Duration::from_millis(20),
                limit: Duration::from_secs(10),
                think: (think.0 / 10, think.1 / 10),
            };
        }
        Setting {
            clients: self.clients as usize,
            expiries: self.expiries as usize,
            ttl: Duration::from_millis(self.ttl_ms),
            query: Duration::from_millis(self.query_ms),
            limit: Duration::from_secs(self.max_seconds),
            think,
        }
    }
}

/// Where `make build` puts the module, on macOS too.
fn built_module() -> PathBuf {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR"));
    demo.parent().unwrap_or(demo).join("target/release/libcorral.so")
}
