//! `make demo`: a cache stampede and what ends it. A herd of clients wants the same expensive report; its cache entry
//! expires; a few strategies take their turn on the same server and the same database.

mod herd; // one run: all clients against one strategy
mod run; // what one run came to
mod setting; // how the herd behaves

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::facts::version;
use crate::figures;
use crate::options::Demo;
use crate::page::{find_room, Card, Page};
use crate::picture;
use crate::progress::Progress;
use crate::sales::Sales;
use crate::server::{is_installed, Server};
use crate::strategies::Strategy;
use crate::table::{count, duration, Table};

pub(crate) use run::Run;
use setting::Setting;

pub(crate) async fn show(options: &Demo) -> Result<()> {
    let setting = Setting::new(options);
    find_room(&options.out)?;
    // Each client has one or two sockets and, in a query, up to three files of SQLite's. The usual limit is 1024, on
    // macOS 256.
    corral_testkit::allow_files(setting.clients as u64 * 5 + 100).context("ask for fewer --clients")?;

    let server = Server::start(&options.subject).await?;
    let with_memcached = options.strategies.contains(&Strategy::Memcached) && is_installed("memcached");
    let memcached = if with_memcached { Some(Server::start_memcached().await?) } else { None };
    let directory = tempfile::Builder::new().prefix("corral-demo").tempdir().context("no temporary directory")?;

    let progress = Progress::begin("a database of sales");
    let sales = Arc::new(Sales::calibrated(directory.path(), setting.query, |what| progress.tell(&what))?);
    progress.end(&format!(
        "SQLite, {} sales: the report over them takes {}, run by itself. Cached, it lives for {} ms; {} clients ask \
         for it again and again.",
        count(sales.rows as f64),
        seconds(sales.query_time),
        setting.ttl.as_millis(),
        setting.clients,
    ));

    let mut runs: Vec<Run> = Vec::new();
    for (number, strategy) in (1..).zip(&options.strategies) {
        let server = match strategy {
            Strategy::Memcached => memcached.as_ref().context("memcached is not installed")?,
            _ => &server,
        };
        let title = format!("{number}/{} {}: {}", options.strategies.len(), strategy.name(), strategy.steps());
        let progress = Progress::begin(&title);
        let run = herd::run(*strategy, setting, server, &sales, &progress).await?;
        progress.end(&format!(
            "{} expiries, {} queries, over after {}",
            run.expiries_met(),
            run.queries.len(),
            seconds(run.elapsed)
        ));
        runs.push(run);
        // After each of them: the first picture is there long before the last run is over.
        page(setting, &sales, &runs)?.write(&options.out)?;
        if number == 1 && options.strategies.len() > 1 {
            println!("    The picture so far: {}", options.out.display());
        }
    }
    println!("\n{}\nExtra commands: those to the cache beyond one for each request.\n", table(&runs).text());
    if let Some(file) = &options.figures {
        let mut client = server.connect().await?;
        figures::write(file, &version(&mut client).await?, &[("Demo", &shares(setting, &sales, &runs))])?;
    }
    let path = fs::canonicalize(&options.out).unwrap_or_else(|_| options.out.clone());
    println!("The picture: {}", path.display());
    Ok(())
}

fn page(setting: Setting, sales: &Sales, runs: &[Run]) -> Result<Page> {
    let lead = format!(
        "{} clients keep asking for the same report. It is cached for {} ms; whenever the entry expires, the report has \
         to be built anew by a query over {} rows of a SQLite database, which takes {} when it runs by itself. The same \
         herd came once for each way to deal with the expiry.",
        setting.clients,
        setting.ttl.as_millis(),
        count(sales.rows as f64),
        seconds(sales.query_time),
    );
    let cards: Vec<Card> = runs.iter().map(card).collect();
    let page = Page::new("A cache stampede, and what ends it", &lead)
        .cards(&cards)
        .picture(&picture::in_flight(runs)?)
        .note(
            "Above each panel: the most queries that ran at once, and how long the run took. Dotted lines: the cache entry \
             expires. Grey: the run is over. All panels have the same axes. Without protection the entry may expire again while queries of the last expiry still run.",
        )
        .picture(&picture::bars(
            "How long a request took",
            "ms: 99 % of the requests (dark), 99.9 % (light)",
            &runs.iter().map(bar).collect::<Vec<_>>(),
        )?)
        .table(&table(runs));
    let cut: Vec<&str> = runs.iter().filter(|run| run.was_cut_short()).map(|run| run.strategy.name()).collect();
    let cut = match cut.is_empty() {
        true => String::new(),
        false => format!(
            "No request began later than {} into a run, so these saw fewer expiries: {}; requests that had begun were \
             all waited for and counted. ",
            seconds(setting.limit),
            cut.join(", ")
        ),
    };
    Ok(page.note(&format!(
        "Clients, cache and SQLite shared the processors of one machine, and the runs followed each other on an emptied \
         server. {cut}Every query was really run, and every answer was compared with the true report. Extra commands are \
         those to the cache beyond one for each request."
    )))
}

fn card(run: &Run) -> Card {
    let number = match run.fewest_and_most_queries() {
        (1, 1) => "exactly 1 query".to_owned(),
        (fewest, most) if fewest == most => format!("{most} queries"),
        (_, most) => format!("up to {most} queries"),
    };
    let text = format!(
        "each time the entry expired; 99 % of the requests were answered within {}, the slowest after {}",
        seconds(run.latency(0.99)),
        seconds(run.slowest())
    );
    let colour = picture::css(run.strategy);
    Card { name: run.strategy.name(), colour, number, text, steps: run.strategy.steps() }
}

fn bar(run: &Run) -> picture::Bar {
    picture::Bar {
        strategy: run.strategy,
        dark_ms: run.latency(0.99).as_secs_f64() * 1000.0,
        light_ms: run.latency(0.999).as_secs_f64() * 1000.0,
        builds: {
            let queries = run.queries_per_expiry();
            if queries < 1.5 {
                "1 query".to_owned()
            } else {
                format!("{queries:.0} queries")
            }
        },
    }
}

/// What README shows: a row for each strategy.
fn shares(setting: Setting, sales: &Sales, runs: &[Run]) -> Table {
    let header =
        ["", "queries per expiry, at most", "at once", "a query then takes", "slowest request", "commands per request"];
    let mut table = Table::new("Demo", &header);
    for run in runs {
        table.row([
            run.strategy.name().to_owned(),
            count(run.fewest_and_most_queries().1 as f64),
            count(run.most_in_flight() as f64),
            seconds(run.median_query()),
            seconds(run.slowest()),
            format!("{:.2}", run.commands_per_request()),
        ]);
    }
    table.with_note(&format!(
        "{} clients ask again and again for a report that takes {} by itself, a query over {} rows of SQLite; cached for {} \
         ms, {} expiries each.",
        setting.clients,
        seconds(sales.query_time),
        count(sales.rows as f64),
        setting.ttl.as_millis(),
        setting.expiries,
    ))
}

fn table(runs: &[Run]) -> Table {
    let names = runs.iter().map(|run| run.strategy.name());
    let mut table = Table::new("In figures", &std::iter::once("").chain(names).collect::<Vec<_>>());
    let mut row = |what: &str, figure: &dyn Fn(&Run) -> String| {
        table.row(std::iter::once(what.to_owned()).chain(runs.iter().map(figure)));
    };
    row("queries per expiry: average", &|run| format!("{:.1}", run.queries_per_expiry()));
    row("queries per expiry: most", &|run| count(run.fewest_and_most_queries().1 as f64));
    row("queries at the same time: most", &|run| count(run.most_in_flight() as f64));
    row("time of a query: median", &|run| seconds(run.median_query()));
    row("latency of a request: p50", &|run| seconds(run.latency(0.5)));
    row("latency of a request: p99", &|run| seconds(run.latency(0.99)));
    row("latency of a request: max", &|run| seconds(run.slowest()));
    row("commands per request", &|run| format!("{:.2}", run.commands_per_request()));
    row("extra commands per expiry", &|run| count(run.extra_commands_per_expiry()));
    row("expiries", &|run| {
        let cut = if run.was_cut_short() { " (time was up)" } else { "" };
        format!("{}{cut}", run.expiries_met())
    });
    row("requests", &|run| count(run.requests() as f64));
    row("queries", &|run| count(run.queries.len() as f64));
    row("length of the run", &|run| seconds(run.elapsed));
    table
}

fn seconds(time: Duration) -> String {
    duration(time.as_secs_f64())
}
