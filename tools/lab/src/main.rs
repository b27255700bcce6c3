//! One stampede simulator. `make demo`: the stampede made visible, a herd of clients and a slow query. `make bench`:
//! Corral beside what people use today; everything is measured in one run, in turns, and what counts is the ratio.

mod bench; // figures beside their targets
mod demo; // one herd, one report, a few strategies in turn
mod facts; // INFO
mod figures; // the file that the documents' figures come from
mod interrupt; // Ctrl-C
mod ledger; // which builds there were, and what a request should have taken
mod options; // the command line
mod page; // a report as one HTML file
mod picture; // its charts
mod postgres; // a database server of one's own
mod progress; // the terminal while something runs
mod sales; // a slow source: SQLite, and a report over all its rows
mod sample; // repeats of a measurement
mod server; // the servers of a run
mod source; // what a cache is there to spare
mod strategies; // what clients do when the value is gone
mod table; // figures for the terminal, for Markdown and for HTML
mod wire; // the protocol on bare sockets

use std::future::Future;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use futures_util::future::join_all;

use interrupt::Interrupted;
use options::{Command, Options};

fn main() -> ExitCode {
    let command = Options::parse().command;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(THREADS).build();
    let outcome = runtime.context("no runtime").and_then(|runtime| {
        interrupt::listen()?;
        let outcome = runtime.block_on(async {
            match &command {
                Command::Demo(options) => demo::show(options).await,
                Command::Bench(options) => bench::measure(options).await,
            }
        });
        // After Ctrl-C nobody waits for two hundred queries to end.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("{error}");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("{}: {error:#}", command.name());
            ExitCode::FAILURE
        }
    }
}

/// All of them at the same time on this one thread.
async fn at_once<F: Future>(clients: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    // Otherwise the runtime would interrupt the lot of them after every 128 steps.
    tokio::task::unconstrained(join_all(clients)).await
}

/// For queries: every client may be in one.
const THREADS: usize = options::MOST_CLIENTS as usize;
