//! A site of many pages: how much a node has to do for it, by the node itself on a virtual clock, for sites of any size;
//! and the same small site on a real server, to see whether that is true.

mod real; // on a server
mod simulated; // on the node

use std::time::Duration;

use anyhow::Result;

use crate::bench::findings::Findings;
use crate::bench::scale::Scale;
use crate::options::Bench;
use crate::progress::Progress;
use crate::table::{count, duration, mebibytes, Table};

/// What is asked of the cache. Requests come by chance (a Poisson process), pages are chosen by Zipf's law.
#[derive(Clone, Copy)]
struct Site {
    requests_per_second: f64,
    pages: usize,
    value_bytes: usize,
    fresh: Duration,
    build: Duration,
    /// The old page is served so long.
    stale: Duration,
    /// Watched so long, from when every page is there.
    length: Duration,
}

/// What it came to.
#[derive(Default)]
struct Load {
    builds: f64,
    /// Clients that wait, over time.
    parked_mean: f64,
    parked_most: f64,
    /// Seconds that who was parked waited.
    waits: Vec<f64>,
    /// Of the append-only file; as many go to each replica.
    log_bytes: f64,
    requests: f64,
}

/// As the lab's other parts call it: the figures of the scale page.
pub(crate) async fn measure(options: &Bench, scale: &Scale, findings: &mut Findings) -> Result<()> {
    let progress = Progress::begin("sites");
    let header =
        ["", "requests a second", "builds a second", "waiting, mean", "most", "waited, p50", "p99", "log, each build"];
    let mut table = Table::new("A small site, simulated and real", &header);
    for (name, stale) in [("without SWR", Duration::ZERO), ("SWR", SMALL.fresh)] {
        let site = Site { stale, ..SMALL };
        progress.tell(&format!("{name}, on a server"));
        let real = real::run(options, &site).await?;
        progress.tell(&format!("{name}, simulated"));
        let simulated = simulated::run(&site)?;
        for (kind, load) in [("on a server", real), ("on the node", simulated)] {
            let each = format!("{} B", count(load.log_bytes / load.builds));
            table.row([format!("{name}, {kind}")].into_iter().chain(load.cells(&site)).chain([each]));
        }
    }
    findings.table(table.with_note(&SMALL.said("Both for")));

    let header =
        ["", "requests a second", "builds a second", "waiting, mean", "most", "waited, p50", "p99", "log a second"];
    let mut table = Table::new("A large site, simulated", &header);
    let large = Site { length: scale.site, ..LARGE };
    for (name, stale) in [("without SWR", Duration::ZERO), ("SWR", LARGE.fresh)] {
        progress.tell(&format!("a large site, {name}, simulated"));
        let site = Site { stale, ..large };
        let load = simulated::run(&site)?;
        let a_second = mebibytes(load.log_bytes / site.length.as_secs_f64());
        table.row([name.to_owned()].into_iter().chain(load.cells(&site)).chain([a_second]));
    }
    findings.table(table.with_note(&large.said("All on one node, which no real one could serve;")));
    Ok(())
}

impl Site {
    fn said(&self, begin: &str) -> String {
        format!(
            "{begin} {} seconds of {} pages of {} bytes, by Zipf's law, fresh for {} s, built in {} ms.",
            self.length.as_secs(),
            count(self.pages as f64),
            count(self.value_bytes as f64),
            self.fresh.as_secs(),
            self.build.as_millis(),
        )
    }

    fn key(page: usize) -> String {
        format!("page:{page:06}")
    }
}

impl Load {
    fn cells(&self, site: &Site) -> [String; 6] {
        let mut waits = self.waits.clone();
        waits.sort_by(f64::total_cmp);
        let share =
            |part: f64| waits.get(((waits.len().max(1) - 1) as f64 * part) as usize).copied().unwrap_or(f64::NAN);
        let seconds = site.length.as_secs_f64();
        [
            count(self.requests / seconds),
            format!("{:.1}", self.builds / seconds),
            format!("{:.1}", self.parked_mean),
            count(self.parked_most),
            duration(share(0.5)),
            duration(share(0.99)),
        ]
    }
}

/// As large as one machine can do for clients and server.
const SMALL: Site = Site {
    requests_per_second: 2_000.0,
    pages: 500,
    value_bytes: 1_000,
    fresh: Duration::from_secs(5),
    build: Duration::from_millis(200),
    stale: Duration::ZERO,
    length: Duration::from_secs(10),
};

const LARGE: Site = Site {
    requests_per_second: 200_000.0,
    pages: 50_000,
    value_bytes: 20_000,
    fresh: Duration::from_secs(60),
    build: Duration::from_millis(400),
    stale: Duration::ZERO,
    length: Duration::from_secs(60),
};
