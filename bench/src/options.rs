//! What can be asked for on the command line, and how much work follows from it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Corral beside what people use today. Only ratios of figures taken in the same run count.
#[derive(Parser, Clone, Debug)]
#[command(version)]
pub(crate) struct Options {
    /// More repeats, larger numbers: about a quarter of an hour instead of two minutes
    #[arg(long)]
    pub(crate) full: bool,

    /// Only these parts
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,

    /// The module to load
    #[arg(long, env = "CORRAL_MODULE", value_name = "PATH", default_value_os_t = built_module())]
    pub(crate) module: PathBuf,

    /// The server to measure on: Redis or Valkey
    #[arg(long, env = "CORRAL_SERVER", value_name = "PATH", default_value = "redis-server")]
    pub(crate) server: PathBuf,

    /// Where the report goes
    #[arg(long, value_name = "FILE", default_value = "bench-report.html")]
    pub(crate) out: PathBuf,

    /// Also write the tables as Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,

    /// Also write the picture of the stampede as an SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) picture: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Instructions,
    Throughput,
    Memory,
    Fanout,
    Handover,
    Cold,
    Stampede,
}

/// How much of everything.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    /// Every measurement of a time is taken so often, in turns with what it is compared with.
    pub(crate) repeats: usize,
    /// How long one measurement of throughput lasts.
    pub(crate) slice: Duration,
    /// Commands under callgrind: the first count is subtracted from three times as many.
    pub(crate) counted: usize,
    pub(crate) waiters: Vec<usize>,
    /// Rebuilds that each strategy goes through with a thousand clients.
    pub(crate) expiries: usize,
    /// How long each strategy runs on the mix of keys.
    pub(crate) mix: Duration,
    /// Keys in the keyspace, and waiters parked elsewhere, while the instructions of a hit are counted.
    pub(crate) keyspaces: Vec<usize>,
    pub(crate) crowds: Vec<usize>,
}

impl Options {
    pub(crate) fn runs(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    pub(crate) fn scale(&self) -> Scale {
        if self.full {
            return Scale {
                repeats: 9,
                slice: Duration::from_millis(1500),
                counted: 20_000,
                waiters: vec![100, 1_000, 10_000],
                expiries: 20,
                mix: Duration::from_secs(12),
                keyspaces: vec![100, 10_000, 1_000_000],
                crowds: vec![0, 1_000, 10_000],
            };
        }
        Scale {
            repeats: 5,
            slice: Duration::from_millis(250),
            counted: 5_000,
            waiters: vec![100, 1_000, 10_000],
            expiries: 5,
            mix: Duration::from_secs(3),
            keyspaces: vec![100, 10_000],
            crowds: vec![0, 1_000],
        }
    }
}

/// Where `make build` puts the module, on macOS too.
fn built_module() -> PathBuf {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    bench.parent().unwrap_or(bench).join("target/release/libcorral.so")
}
