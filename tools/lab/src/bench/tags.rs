//! Invalidation by tag, beside what people keep for it: a set of keys for each tag, and a script that deletes them.

use std::time::Instant;

use anyhow::{ensure, Result};

use super::bystander::Bystander;
use super::findings::Findings;
use super::instructions::Counter;
use super::scale::Scale;
use crate::facts::memory;
use crate::interrupt;
use crate::options::Bench;
use crate::progress::Progress;
use crate::server::{is_installed, Server};
use crate::table::{count, duration, times, Table};
use crate::wire::{command, line, Connection, Reply};

/// What one way came to.
struct Outcome {
    /// Bytes of an entry, and what its tags add.
    entry: f64,
    tags: f64,
    few: Stall,
    all: Stall,
}

/// One invalidation: what it took, and what a bystander waited meanwhile.
struct Stall {
    call: f64,
    ping: f64,
}

pub(crate) async fn measure(options: &Bench, scale: &Scale, findings: &mut Findings) -> Result<()> {
    let entries = scale.tagged;
    let progress = Progress::begin(&format!("{} entries with tags", count(entries as f64)));
    progress.tell("as Corral keeps them");
    let (corral, mark) = corral(options, entries).await?;
    progress.tell("as sets of keys");
    let (sets, dead) = sets(options, entries).await?;

    let header = [
        "",
        "an entry",
        "its tags",
        "a tag of 300: the call",
        "longest PING",
        "a tag of all: the call",
        "longest PING",
    ];
    let mut table = Table::new(TITLE, &header);
    table.row(corral.cells("TAGS, CACHE.INVALIDATETAG"));
    table.row(sets.cells("SET, SADD for each tag, a script that deletes"));
    let tags = count(tags_of(entries) as f64);
    table.note = format!(
        "{} entries with three tags of {tags}, and one more that all have. A mark takes {mark:.0} bytes, for as long as it is \
         known. Of the sets, once all entries were deleted by the tag that all have, {} names of keys were left that are \
         there no more; so it is with entries that expire.",
        count(entries as f64),
        count(dead),
    );
    findings.table(table);
    findings.target(
        "INVALIDATETAG of a tag that every entry has: longest PING",
        duration(corral.all.ping),
        format!("sets: {}", duration(sets.all.ping)),
        times(corral.all.ping / sets.all.ping),
        "< 1 ×",
        corral.all.ping < sets.all.ping,
    );
    instructions(options, scale, findings, &progress).await
}

async fn corral(options: &Bench, entries: usize) -> Result<(Outcome, f64)> {
    let server = Server::start(&options.subject).await?;
    let mut connection = server.connect().await?;
    let before = memory(&mut connection).await?;
    load(&mut connection, entries, |n| command(&["CACHE.SET", &key(n), VALUE, "PX", FAR])).await?;
    let plain = memory(&mut connection).await? - before;
    connection.call(&line("FLUSHALL SYNC")).await?;
    let before = memory(&mut connection).await?;
    load(&mut connection, entries, |n| {
        let [a, b, c] = tags(n, entries);
        command(&["CACHE.SET", &key(n), VALUE, "PX", FAR, "TAGS", "4", &a, &b, &c, ALL])
    })
    .await?;
    let tagged = memory(&mut connection).await? - before;

    let few = stall(&server, &mut connection, &line("CACHE.INVALIDATETAG 1 tag:5")).await?;
    ensure!(is_stale(&mut connection, entries, 5).await?, "an entry is fresh after its tag was invalidated");
    let before = memory(&mut connection).await?;
    load(&mut connection, tags_of(entries), |n| line(&format!("CACHE.INVALIDATETAG 1 tag:{n}"))).await?;
    let mark = (memory(&mut connection).await? - before) / tags_of(entries) as f64;
    let all = stall(&server, &mut connection, &line(&format!("CACHE.INVALIDATETAG 1 {ALL}"))).await?;
    let per = |bytes: f64| bytes / entries as f64;
    Ok((Outcome { entry: per(plain), tags: per(tagged - plain), few, all }, mark))
}

async fn sets(options: &Bench, entries: usize) -> Result<(Outcome, f64)> {
    let server = Server::start(&options.subject).await?;
    let mut connection = server.connect().await?;
    let before = memory(&mut connection).await?;
    load(&mut connection, entries, |n| command(&["SET", &key(n), VALUE, "PX", FAR])).await?;
    let plain = memory(&mut connection).await? - before;
    for place in 0..4 {
        load(&mut connection, entries, |n| match tags(n, entries).get(place) {
            Some(tag) => command(&["SADD", tag, &key(n)]),
            None => command(&["SADD", ALL, &key(n)]),
        })
        .await?;
    }
    let tagged = memory(&mut connection).await? - before;
    let few = stall(&server, &mut connection, &command(&["EVAL", PURGE, "1", "tag:5"])).await?;
    let all = stall(&server, &mut connection, &command(&["EVAL", PURGE, "1", ALL])).await?;
    let mut dead = 0.0;
    for tag in 0..tags_of(entries) {
        if let Reply::Number(members) = connection.call(&line(&format!("SCARD tag:{tag}"))).await? {
            dead += members as f64;
        }
    }
    let per = |bytes: f64| bytes / entries as f64;
    Ok((Outcome { entry: per(plain), tags: per(tagged - plain), few, all }, dead))
}

/// What one call takes as there are more entries.
async fn instructions(options: &Bench, scale: &Scale, findings: &mut Findings, progress: &Progress) -> Result<()> {
    if !is_installed("valgrind") {
        findings.remark("valgrind is not installed: the instructions of INVALIDATETAG are left out.");
        return Ok(());
    }
    let server = Server::start_counted(&options.subject).await?;
    let mut counter = Counter::new(&server, COUNTED).await?;
    let mut table =
        Table::new("Instructions of CACHE.INVALIDATETAG", &["entries, three tags each", "instructions", "× the first"]);
    let (mut loaded, mut costs): (usize, Vec<f64>) = (0, Vec::new());
    for &entries in &scale.keyspaces {
        progress.tell(&format!("instructions among {entries} entries"));
        load_from(counter.connection(), loaded..entries, |n| {
            let [a, b, c] = tags(n, 1_000_000);
            command(&["CACHE.SET", &key(n), VALUE, "PX", FAR, "TAGS", "3", &a, &b, &c])
        })
        .await?;
        loaded = entries;
        // Each tag is marked already: a new mark is a little dearer, once.
        let cost = counter.instructions(|n| line(&format!("CACHE.INVALIDATETAG 1 tag:{}", n % 100))).await?;
        costs.push(cost);
        let ratio = cost / costs.first().copied().unwrap_or(f64::NAN);
        table.row([count(entries as f64), count(cost), times(ratio)]);
    }
    let ratio = costs.last().zip(costs.first()).map_or(f64::NAN, |(last, first)| last / first);
    findings.table(table.with_note("Counted by callgrind, 100 commands in a pipeline."));
    let (most, first) = (count(loaded as f64), scale.keyspaces.first().copied().unwrap_or_default());
    let what = format!("INVALIDATETAG among {most} entries: instructions");
    findings.target(
        what,
        count(costs.last().copied().unwrap_or(f64::NAN)),
        format!("among {first}"),
        times(ratio),
        "flat (≤ 1.1 ×)",
        ratio <= 1.1,
    );
    Ok(())
}

async fn stall(server: &Server, connection: &mut Connection, frame: &[u8]) -> Result<Stall> {
    let bystander = Bystander::begin(server.port)?;
    tokio::time::sleep(LEAD).await;
    bystander.longest();
    let begun = Instant::now();
    connection.call(frame).await?;
    let call = begun.elapsed().as_secs_f64();
    // The PING that the call held up has come back.
    tokio::time::sleep(LEAD).await;
    Ok(Stall { call, ping: bystander.longest() })
}

/// Whether every entry that has the tag is.
async fn is_stale(connection: &mut Connection, entries: usize, tag: usize) -> Result<bool> {
    let name = format!("tag:{tag}");
    for n in (0..entries).filter(|n| tags(*n, entries).contains(&name)) {
        let reply = connection.call(&line(&format!("CACHE.GET {}", key(n)))).await?;
        if reply.state()?.0 == b"HIT" {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn load(connection: &mut Connection, count: usize, frame: impl Fn(usize) -> Vec<u8>) -> Result<()> {
    load_from(connection, 0..count, frame).await
}

async fn load_from(
    connection: &mut Connection,
    range: std::ops::Range<usize>,
    frame: impl Fn(usize) -> Vec<u8>,
) -> Result<()> {
    for begin in range.clone().step_by(CHUNK) {
        interrupt::check()?;
        let end = range.end.min(begin + CHUNK);
        connection.write(&(begin..end).flat_map(&frame).collect::<Vec<u8>>()).await?;
        for _ in begin..end {
            connection.receive().await?;
        }
    }
    Ok(())
}

fn key(n: usize) -> String {
    format!("page:{n}")
}

/// Three of them, spread so that each has three hundred entries.
fn tags(n: usize, entries: usize) -> [String; 3] {
    let all = tags_of(entries);
    [n * 7919 % all, (n * 104_729 + 13) % all, (n * 1_299_709 + 29) % all].map(|tag| format!("tag:{tag}"))
}

fn tags_of(entries: usize) -> usize {
    (entries / 100).max(1)
}

impl Outcome {
    fn cells(&self, name: &str) -> [String; 7] {
        let bytes = |bytes: f64| format!("{bytes:.0} B");
        let [few, few_ping, all, all_ping] = [self.few.call, self.few.ping, self.all.call, self.all.ping].map(duration);
        [name.to_owned(), bytes(self.entry), bytes(self.tags), few, few_ping, all, all_ping]
    }
}

const TITLE: &str = "Invalidation by tag";
const ALL: &str = "all";
const VALUE: &str = "value";
const FAR: &str = "100000000";
const CHUNK: usize = 1_000;
const COUNTED: usize = 2_000;
const LEAD: std::time::Duration = std::time::Duration::from_millis(200);

/// As people write it: what unpack takes at once is limited.
const PURGE: &str = "\
local keys = redis.call('SMEMBERS', KEYS[1])
for first = 1, #keys, 1000 do redis.call('DEL', unpack(keys, first, math.min(first + 999, #keys))) end
redis.call('DEL', KEYS[1])
return #keys";
