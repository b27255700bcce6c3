//! A cold start: after FLUSHALL a hundred thousand different keys are asked for at once, and what they are built from is a
//! PostgreSQL that does less the more it is asked to do. A lease for each key spares it nothing here.

mod books; // what all callers of a run write down
mod caller; // one of them, in each of the ways
mod source; // the database, and the connections that the callers share

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::{select, Either};

use super::findings::Findings;
use super::scale::Scale;
use crate::interrupt;
use crate::options::Bench;
use crate::picture::{lines, Chart, Ink, Line};
use crate::postgres;
use crate::progress::Progress;
use crate::server::Server;
use crate::table::{count, duration, times, Table};
use crate::wire::{command, line};

use books::Books;
use caller::Caller;
use source::Source;

/// What keeps the builds from all running at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nothing: each key has its lease, and that is all.
    LeasesAlone,
    /// What people write: a sorted set of those who build, a script that lets somebody in, and a poll.
    Semaphore,
    /// The group of the leases themselves.
    Group,
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) keys: usize,
    pub(crate) callers: usize,
    /// No way gets longer.
    pub(crate) limit: Duration,
}

/// What one way came to.
struct Run {
    way: Way,
    elapsed: f64,
    books: Books,
}

pub(crate) async fn measure(options: &Bench, scale: &Scale, findings: &mut Findings) -> Result<()> {
    if postgres::programs().is_none() {
        findings.remark("PostgreSQL is not installed: the cold start is left out.");
        return Ok(());
    }
    let size = options.cold_start(scale.cold_start);
    let title = format!("a cold start: {} keys, {} callers", count(size.keys as f64), count(size.callers as f64));
    let progress = Progress::begin(&title);
    progress.tell("laying out a PostgreSQL");
    let source = Source::laid_out(size.keys).await?;
    let mut runs = Vec::new();
    for way in Way::ALL {
        let run = run(options, &source, size, way, &progress).await?;
        println!("  {}: {} keys warm after {}", way.name(), count(run.warm() as f64), duration(run.elapsed));
        for (why, how_many) in run.books.failures() {
            println!("    {} requests: {why}", count(how_many as f64));
        }
        runs.push(run);
    }
    findings.table(table(&runs, size));
    let seconds = over_time(&runs);
    findings.pictures.push(picture(&runs)?);
    findings.table(seconds);
    judge(&runs, findings);
    Ok(())
}

/// All callers on a server with nothing in it.
async fn run(options: &Bench, source: &Source, size: Size, way: Way, progress: &Progress) -> Result<Run> {
    let server = Server::start(&options.subject).await?;
    let mut asker = server.connect().await?;
    let group = format!("source max {}", source::KNEE);
    asker.call(&command(&["CONFIG", "SET", "corral.groups", &group])).await?;
    let script = asker.call(&command(&["SCRIPT", "LOAD", caller::LET_IN])).await?.text();
    progress.tell(&format!("{}: connecting", way.name()));
    let pool = source.pool().await?;
    let connections = server.connect_all(size.callers).await?;
    asker.call(&line("FLUSHALL")).await?;

    let books = Books::new(size.keys);
    let callers = connections.into_iter().enumerate().map(|(number, connection)| {
        Caller { connection, number, way, books: &books, pool: &pool, script: &script }.call_until_all_is_warm()
    });
    let begun = Instant::now();
    let over = async {
        while books.warm() < size.keys && begun.elapsed() < size.limit {
            interrupt::check()?;
            let (warm, seconds) = (count(books.warm() as f64), begun.elapsed().as_secs());
            progress.tell(&format!("{}: {warm} keys warm after {seconds} s", way.name()));
            tokio::time::sleep(LOOK).await;
        }
        anyhow::Ok(())
    };
    match select(Box::pin(crate::at_once(callers)), Box::pin(over)).await {
        Either::Left((ended, _)) => ended.into_iter().collect::<Result<()>>()?,
        Either::Right((over, _)) => over?,
    }
    Ok(Run { way, elapsed: begun.elapsed().as_secs_f64(), books })
}

fn table(runs: &[Run], size: Size) -> Table {
    let header = [
        "",
        "builds at once",
        "queries at once",
        "builds a second",
        "half warm",
        "all warm",
        "request, p50",
        "p99",
        "requests without a value",
    ];
    let mut table = Table::new(TITLE, &header);
    for run in runs {
        let requests = run.books.requests();
        let failures = run.books.failures();
        let failed: usize = failures.values().sum();
        table.row([
            run.way.name().to_owned(),
            count(run.books.building.most() as f64),
            count(run.books.most_running()),
            count(run.warm() as f64 / run.elapsed),
            run.until(size.keys / 2),
            run.until(size.keys),
            duration(share(&requests, 0.5)),
            duration(share(&requests, 0.99)),
            format!("{} of {}", count(failed as f64), count(requests.len() as f64)),
        ]);
    }
    let (keys, callers) = (count(size.keys as f64), count(size.callers as f64));
    let (knee, query_ms, connections) = (source::KNEE, source::QUERY_MS, source::CONNECTIONS);
    let (patience, limit, poll) = (caller::PATIENCE.as_secs(), size.limit.as_secs(), caller::POLL.as_millis());
    table.with_note(&format!(
        "{callers} callers in a closed loop after FLUSHALL. Every other request is for the next of {keys} keys that nobody has \
         asked for yet, the others are for keys by Zipf's law. The database is a PostgreSQL with {connections} connections, \
         which the callers share; a query counts those that run in it, takes {query_ms} ms while they are {knee} or fewer, and \
         {query_ms} ms × (n / {knee})^1.5 when n run: twice as many do less than twice the work. Builds: leases granted and not \
         ended; queries: as the database counts them. The semaphore lets {knee} in and is polled every {poll} ms. Whoever waits \
         {patience} s for a connection, a place or an answer gives up, and a build that is given up ends with FAIL; a request \
         counts with what it took all the same. A way that is not done after {limit} s is ended."
    ))
}

/// How many keys were warm, and how many builds ended in the second before, at some forty moments.
fn over_time(runs: &[Run]) -> Table {
    let longest = runs.iter().map(|run| run.elapsed).fold(1.0, f64::max);
    let step = (longest / MOMENTS).ceil().max(1.0);
    let mut header = vec!["second".to_owned()];
    for way in Way::ALL {
        header.extend([format!("{}: keys warm", way.name()), format!("{}: builds a second", way.name())]);
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = Table::new(&format!("{TITLE}, over time"), &header);
    let mut second = 0.0;
    while second < longest + step {
        let mut row = vec![count(second)];
        for run in runs {
            let done = second >= run.elapsed + step;
            let (warm, rate) = (run.warm_at(second), (run.warm_at(second) - run.warm_at(second - step)) / step);
            row.extend(if done { ["".to_owned(), "".to_owned()] } else { [count(warm), count(rate)] });
        }
        table.row(row);
        second += step;
    }
    table
}

fn picture(runs: &[Run]) -> Result<String> {
    let chart = Chart { title: "Keys warm again after FLUSHALL", across: "seconds", up: "thousands of keys" };
    let of = |run: &Run| Line {
        name: run.way.short(),
        ink: match run.way {
            Way::LeasesAlone => Ink::Theirs,
            Way::Semaphore => Ink::Other,
            Way::Group => Ink::Ours,
        },
        points: (0..=100)
            .map(|part| f64::from(part) / 100.0 * run.elapsed)
            .map(|at| (at, run.warm_at(at) / 1000.0))
            .collect(),
    };
    lines(&chart, &runs.iter().map(of).collect::<Vec<_>>())
}

fn judge(runs: &[Run], findings: &mut Findings) {
    let of = |way| runs.iter().find(|run| run.way == way);
    let (Some(group), Some(alone)) = (of(Way::Group), of(Way::LeasesAlone)) else { return };
    let most = group.books.most_running();
    let met = most <= source::KNEE as f64;
    let (most, other) = (count(most), count(alone.books.most_running()));
    findings.target("a cold start: queries at once, of a group of 20", &most, other, &most, "≤ 20", met);
    let rate = |run: &Run| run.warm() as f64 / run.elapsed;
    findings.target(
        "the same: builds a second",
        count(rate(group)),
        format!("leases alone: {}", count(rate(alone))),
        times(rate(group) / rate(alone)),
        "> 1 ×",
        rate(group) > rate(alone),
    );
}

impl Run {
    fn warm(&self) -> usize {
        self.books.warm()
    }

    /// How many keys were warm so many seconds after the begin.
    fn warm_at(&self, seconds: f64) -> f64 {
        self.books.built_by(seconds) as f64
    }

    /// When so many keys were warm, or how many came to be.
    fn until(&self, keys: usize) -> String {
        match self.books.built_at(keys) {
            Some(seconds) => duration(seconds),
            None => format!("not in {}: {}", duration(self.elapsed), count(self.warm() as f64)),
        }
    }
}

impl Way {
    const ALL: [Self; 3] = [Self::LeasesAlone, Self::Semaphore, Self::Group];

    fn name(self) -> &'static str {
        match self {
            Self::LeasesAlone => "leases alone",
            Self::Semaphore => "leases and a Redis semaphore",
            Self::Group => "leases with GROUP, max 20",
        }
    }

    /// Beside its line.
    fn short(self) -> &'static str {
        match self {
            Self::LeasesAlone => "leases alone",
            Self::Semaphore => "a semaphore",
            Self::Group => "GROUP, max 20",
        }
    }
}

fn share(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

const TITLE: &str = "A cold start";
const MOMENTS: f64 = 40.0;
const LOOK: Duration = Duration::from_millis(50);
