//! `make bench`: Corral beside what people use today.

mod bystander; // the PING of somebody else
mod cold; // many requests for one key that is not there
mod cold_start; // many keys that are not there
mod fanout; // one fill for many waiters
mod findings; // tables, and figures beside their targets
mod handover; // how soon the next holder has the lease
mod instructions; // counted by callgrind
mod memory; // what an entry takes
mod scale; // how much of everything
mod site; // what a whole site asks of a node
mod stalls; // what everybody else waits
mod stampede; // strategies against an expiry
mod tags; // many entries, invalidated at once
mod throughput; // commands per second

use std::fs;

use anyhow::Result;

use crate::facts::version;
use crate::figures;
use crate::options::{Bench, Part};
use crate::page::{find_room, Page};
use crate::picture;
use crate::server::Server;
use crate::table::Table;

pub(crate) use cold_start::Size;
use findings::Findings;
use scale::Scale;

pub(crate) async fn measure(options: &Bench) -> Result<()> {
    find_room(&options.out)?;
    // Ten thousand sockets on either side. The server raises its own limit, as far as it may.
    corral_testkit::allow_files(FILES)?;
    let scale = if options.full { Scale::full() } else { Scale::quick() };
    let mut findings = Findings::default();
    let server = {
        let server = Server::start(&options.subject).await?;
        version(&mut server.connect().await?).await?
    };
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
        findings.pictures.push(picture::lines(&FANOUT, &lines(&pairs))?);
        fanout::measure_large(options, &mut findings).await?;
    }
    if options.runs(Part::Memory) {
        memory::measure(options, &mut findings).await?;
    }
    if options.runs(Part::Handover) {
        handover::measure(options, &scale, &mut findings).await?;
    }
    if options.runs(Part::Stalls) {
        stalls::measure(options, &mut findings).await?;
    }
    if options.runs(Part::Cold) {
        cold::measure(options, &mut findings).await?;
    }
    if options.runs(Part::Tags) {
        tags::measure(options, &scale, &mut findings).await?;
    }
    if options.runs(Part::ColdStart) {
        cold_start::measure(options, &scale, &mut findings).await?;
    }
    if options.runs(Part::Site) {
        site::measure(options, &scale, &mut findings).await?;
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
    write(options, &server, &findings)
}

fn write(options: &Bench, server: &str, findings: &Findings) -> Result<()> {
    let lead = format!(
        "On {server}. All figures are of one run on one machine, which clients and servers shared. Compare them with each \
         other, not with those of another machine."
    );
    let summary = findings.summary();
    let page = Page::new("Corral beside what people use today", &lead).list(&findings.remarks).table(&summary);
    let page = findings.pictures.iter().fold(page, |page, svg| page.picture(svg));
    findings.tables.iter().fold(page, Page::table).write(&options.out)?;
    let path = fs::canonicalize(&options.out).unwrap_or_else(|_| options.out.clone());
    println!("\nThe report: {}", path.display());

    if let Some(file) = &options.figures {
        let tables = findings.tables.iter().map(|table| (table.title.as_str(), table));
        let tables: Vec<(&str, &Table)> = std::iter::once(("Targets", &summary)).chain(tables).collect();
        figures::write(file, server, &tables)?;
    }
    Ok(())
}

/// Last and first reply by number of waiters.
fn lines(pairs: &[fanout::Pair]) -> Vec<picture::Line> {
    type Select = fn(&fanout::Pair) -> f64;
    let figures: [(&str, bool, Select); 4] = [
        ("FILL, last", true, |pair| pair.corral.last.median()),
        ("FILL, first", true, |pair| pair.corral.first.median()),
        ("PUBLISH, last", false, |pair| pair.publish.last.median()),
        ("PUBLISH, first", false, |pair| pair.publish.first.median()),
    ];
    let line = |(name, ours, figure): (&'static str, bool, Select)| picture::Line {
        name,
        ink: if ours { picture::Ink::Ours } else { picture::Ink::Theirs },
        points: pairs.iter().map(|pair| (pair.waiters as f64, figure(pair) * 1000.0)).collect(),
    };
    figures.into_iter().map(line).collect()
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

const FANOUT: picture::Chart =
    picture::Chart { title: "One fill for many waiters", across: "clients that wait", up: "ms until the reply" };
const FILES: u64 = 11_000;
const NOISY_SPREAD: f64 = 0.10;
