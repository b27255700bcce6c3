//! `make demo`: a cache stampede and what ends it. Two hundred clients want the same expensive report;
//! its cache entry expires; three strategies take their turn on the same server and the same database.

mod client; // one of the herd: its Redis connection, its queries, its tally
mod database; // the slow source: SQLite, and a report over all its rows
mod herd; // one run: all clients against one strategy
mod ledger; // what the threads of one run share
mod measurements; // what one run came to
mod options; // the command line
mod page; // the report as one HTML file
mod picture; // its two charts
mod progress; // the terminal while it runs
mod server; // the demo's own redis-server
mod strategies; // plain cache-aside, SET NX, Corral
mod table; // the runs as figures

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{bail, Context, Result};
use clap::Parser;
use corral_rig::interrupt::{self, Interrupted};

use database::Database;
use options::Options;
use progress::{RunBar, Step};
use server::Server;
use strategies::Strategy;

fn main() -> ExitCode {
    let options = Options::parse();
    match show(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("{error}");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn show(options: &Options) -> Result<()> {
    interrupt::listen()?;
    let setting = options.setting();
    find_room(&options.out)?;
    // Each client has a socket and, in a query, up to three files of SQLite's. The usual limit is 1024, on macOS 256.
    corral_testkit::allow_files(setting.clients as u64 * 4 + 100).context("ask for fewer --clients")?;

    // Declared before the server: dropped after it, so that the server never writes into a directory that is gone.
    let directory = tempfile::Builder::new().prefix("corral-demo").tempdir().context("no temporary directory")?;
    let server = Server::start(&options.server, &options.module, setting.clients, directory.path())?;

    let step = Step::begin("filling the database".into());
    let database = Database::calibrated(directory.path(), setting.query, |what| step.tell(what))?;
    step.end(&format!(
        "A SQLite database of {} sales: the report over them takes {} ms, run by itself.",
        database.rows,
        database.query_time.as_millis()
    ));
    println!(
        "{} clients ask for it again and again; cached, it lives for {} ms.",
        setting.clients,
        setting.ttl.as_millis()
    );

    let mut runs = Vec::new();
    for (number, strategy) in (1..).zip(Strategy::ALL) {
        let title = format!("{number}/{} {}\n    {}", Strategy::ALL.len(), strategy.name(), strategy.steps());
        let bar = RunBar::begin(&title, setting);
        let run = herd::run(strategy, setting, &server, &database, |ledger| bar.show(ledger))?;
        bar.end(&format!(
            "    {} expiries, {} queries, over after {}",
            run.expiries_met(),
            run.queries.len(),
            table::duration(run.elapsed)
        ));
        runs.push(run);
    }

    println!("\n{}\nExtra commands: those to Redis beyond one for each request.\n", table::text(&runs));
    let page = page::html(setting, &database, &runs)?;
    fs::write(&options.out, page).with_context(|| format!("cannot write {}", options.out.display()))?;
    let path = fs::canonicalize(&options.out).unwrap_or_else(|_| options.out.clone());
    println!("The picture: {}", path.display());
    Ok(())
}

/// Whether there is a place for the picture should be known before a minute of work, not after.
fn find_room(out: &Path) -> Result<()> {
    let directory = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.is_dir() || out.is_dir() {
        bail!("cannot write {}: not a file in a directory that is there", out.display());
    }
    Ok(())
}
