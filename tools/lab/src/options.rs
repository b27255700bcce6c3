//! What can be asked for on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use corral_testkit::launch::built_module;

use crate::bench::Size;
use crate::strategies::Strategy;

/// Cache stampedes: one to look at, and many to measure.
#[derive(Parser, Clone, Debug)]
#[command(version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Command {
    Demo(Demo),
    Bench(Bench),
}

/// What every run starts: a server with the module.
#[derive(Args, Clone, Debug)]
pub(crate) struct Subject {
    /// The module to load
    #[arg(long, env = "CORRAL_MODULE", value_name = "PATH", default_value_os_t = built_module())]
    pub(crate) module: PathBuf,

    /// The server to start: Redis or Valkey
    #[arg(long, env = "CORRAL_SERVER", value_name = "PATH", default_value = "redis-server")]
    pub(crate) server: PathBuf,
}

/// A cache stampede and what ends it: the same herd against one strategy after the other.
#[derive(Args, Clone, Debug)]
pub(crate) struct Demo {
    /// Client connections, all asking for the same report
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=MOST_CLIENTS.into()))]
    pub(crate) clients: u32,

    /// How often the cache entry expires in each run
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) expiries: u32,

    /// How long the cached report lives, in milliseconds
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(50..=600_000))]
    pub(crate) ttl_ms: u64,

    /// How long the report's query should take on its own, in milliseconds: the database is filled until it does
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(5..=5000))]
    pub(crate) query_ms: u64,

    /// No request begins after this many seconds of one run: without protection it can take minutes
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) max_seconds: u64,

    /// What the clients do, in turn
    #[arg(long, value_enum, value_name = "STRATEGY", value_delimiter = ',', default_values_t = Strategy::DEMO)]
    pub(crate) strategies: Vec<Strategy>,

    #[command(flatten)]
    pub(crate) subject: Subject,

    /// Where the picture goes
    #[arg(long, value_name = "FILE", default_value = "demo-report.html")]
    pub(crate) out: PathBuf,

    /// Also put the figures into this file, which the documents are written from
    #[arg(long, value_name = "FILE")]
    pub(crate) figures: Option<PathBuf>,

    /// A small herd and a small database: over in a few seconds, to see that everything works
    #[arg(long, conflicts_with_all = ["clients", "expiries", "ttl_ms", "query_ms", "max_seconds"])]
    pub(crate) quick: bool,
}

/// Corral beside what people use today. Only ratios of figures taken in the same run count.
#[derive(Args, Clone, Debug)]
pub(crate) struct Bench {
    /// More repeats, larger numbers: about an hour instead of three minutes
    #[arg(long)]
    pub(crate) full: bool,

    /// How many keys the cold start begins without
    #[arg(long, value_name = "KEYS", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    cold_keys: Option<u32>,

    /// How many callers ask for them
    #[arg(long, value_name = "CALLERS", value_parser = clap::value_parser!(u32).range(1..=MOST_CLIENTS.into()))]
    cold_callers: Option<u32>,

    /// How many seconds each of its ways is given
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    cold_seconds: Option<u64>,

    /// Only these parts
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,

    #[command(flatten)]
    pub(crate) subject: Subject,

    /// Where the report goes
    #[arg(long, value_name = "FILE", default_value = "bench-report.html")]
    pub(crate) out: PathBuf,

    /// Also put the tables into this file, which the documents are written from
    #[arg(long, value_name = "FILE")]
    pub(crate) figures: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Instructions,
    Throughput,
    Memory,
    Fanout,
    Handover,
    Stalls,
    Cold,
    Tags,
    ColdStart,
    Site,
    Stampede,
}

impl Command {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Demo(_) => "demo",
            Self::Bench(_) => "bench",
        }
    }
}

impl Bench {
    pub(crate) fn runs(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// How large the cold start is, if not as usual.
    pub(crate) fn cold_start(&self, usual: Size) -> Size {
        Size {
            keys: self.cold_keys.map_or(usual.keys, |keys| keys as usize),
            callers: self.cold_callers.map_or(usual.callers, |callers| callers as usize),
            limit: self.cold_seconds.map_or(usual.limit, Duration::from_secs),
        }
    }
}

pub(crate) const MOST_CLIENTS: u16 = 5000;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_together() {
        super::Options::command().debug_assert();
    }
}
