//! `make bench`: Corral beside what people use today. Everything is measured in one run, in turns, and what counts is
//! the ratio: the machine's speed is in both sides of it.

mod bystander; // the PING of somebody else
mod cold; // many requests for one key that is not there
mod facts; // INFO
mod fanout; // one fill for many waiters
mod findings; // tables, and figures beside their targets
mod handover; // how soon the next holder has the lease
mod instructions; // counted by callgrind
mod memory; // what an entry takes
mod options; // the command line
mod page; // the report as one HTML file
mod picture; // its charts
mod progress; // the terminal while it runs
mod sample; // repeats of a measurement
mod server; // the servers of a run
mod stampede; // strategies against an expiry
mod table; // figures for the terminal, for Markdown and for HTML
mod throughput; // commands per second
mod wire; // the protocol on bare sockets

use std::fs;
use std::future::Future;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use corral_rig::interrupt::{self, Interrupted};
use futures_util::future::join_all;

use findings::Findings;
use options::{Options, Part};

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.context("no runtime").and_then(|runtime| runtime.block_on(measure(&options)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("{error}");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) -> Result<()> {
    interrupt::listen()?;
    // Ten thousand sockets on either side. The server raises its own limit, as far as it may.
    corral_testkit::allow_files(FILES)?;
    let scale = options.scale();
    let mut findings = Findings::default();
    let server = instructions::version(options).await?;
    println!("Corral on {server}, {} mode", if options.full { "full" } else { "quick" });
    look_for_noise(&mut findings);

    if options.runs(Part::Instructions) {
        instructions::measure(options, &scale, &mut findings).await?;
    }
    if options.runs(Part::Throughput) {
        throughput::measure(options, &scale, &mut findings).await?;
    }
    if options.runs(Part::Fanout) {
        let pairs = fanout::measure(options, &scale, &mut findings).await?;
        findings.pictures.push(("One fill for many waiters".into(), picture::fanout(&pairs)?));
        fanout::measure_large(options, &mut findings).await?;
    }
    if options.runs(Part::Memory) {
        memory::measure(options, &mut findings).await?;
    }
    if options.runs(Part::Handover) {
        handover::measure(options, &scale, &mut findings).await?;
    }
    if options.runs(Part::Cold) {
        cold::measure(options, &mut findings).await?;
    }
    if options.runs(Part::Stampede) {
        stampede::measure(options, &scale, &mut findings).await?;
    }

    if let Some(spread) = findings.usual_spread().filter(|spread| *spread > NOISY_SPREAD) {
        let percent = spread * 100.0;
        findings.remark(format!("Noisy: repeats lay up to {percent:.0} % apart. Run it again on a quiet machine."));
    }
    println!("\nTargets\n{}", findings.summary().text());
    for remark in &findings.remarks {
        println!("Note: {remark}");
    }
    page::write(options, &server, &findings)
}

/// All of them at the same time on this one thread.
async fn at_once<F: Future>(clients: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    // Otherwise the runtime would interrupt the lot of them after every 128 steps.
    tokio::task::unconstrained(join_all(clients)).await
}

/// On Linux. Elsewhere the repeats must tell.
fn look_for_noise(findings: &mut Findings) {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if load > processors as f64 * 0.5 {
        findings.remark(format!("Noisy: the load was {load:.1} on {processors} processors before anything began."));
    }
    if processors < 2 {
        findings.remark("Noisy: server and clients share one processor.");
    }
}

/// What most users have: value, or lock, or wait, in one script.
const LOCK_SCRIPT: &str = "\
local value = redis.call('GET', KEYS[1])
if value then return {'HIT', value} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'LOCK'} end
return {'WAIT'}";

const FILES: u64 = 11_000;
const NOISY_SPREAD: f64 = 0.10;
