//! Instructions per command, counted by callgrind: the same on a busy machine as on a quiet one.
//!
//! Each command is sent N times and 3 N times. The difference, over 2 N, has neither the start of the server in it nor
//! the first call's cost. The same difference tells how often the module asked for memory.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::bench::findings::Findings;
use crate::bench::scale::Scale;
use crate::facts::parked;
use crate::options::Bench;
use crate::progress::Progress;
use crate::server::{is_installed, Server};
use crate::strategies::LOCK_SCRIPT;
use crate::table::{count, times, Table};
use crate::wire::{command, line, Connection};

const HIT: &str = "CACHE.GETORLOCK, HIT";
const AS_WRITTEN: &str = "CACHE.GETORLOCK LEASE 5000 BLOCK 2000, HIT";
const GROUPED: &str = "CACHE.GETORLOCK GROUP lab, HIT";
const TAGGED: &str = "CACHE.GETORLOCK of an entry with 2 tags, HIT";

/// Of one command.
#[derive(Clone, Copy)]
struct Cost {
    instructions: f64,
    /// Calls of the module for memory.
    allocations: f64,
}

pub(super) struct Counter<'a> {
    server: &'a Server,
    connection: Connection,
    counted: usize,
    written: usize,
}

pub(crate) async fn measure(options: &Bench, scale: &Scale, findings: &mut Findings) -> Result<()> {
    if !is_installed("valgrind") {
        findings.remark("valgrind is not installed: the instructions per command are left out.");
        return Ok(());
    }
    let progress = Progress::begin("instructions per command, under callgrind");
    let server = Server::start_counted(&options.subject).await?;
    let mut counter = Counter::new(&server, scale.counted).await?;

    let get = prepare(&mut counter, "hello").await?;
    let mut table =
        Table::new("Instructions per command", &["command", "instructions", "× GET", "module's allocations"]);
    let mut costs = BTreeMap::new();
    for (name, frame) in [
        ("GET", line("GET plain")),
        (HIT, line("CACHE.GETORLOCK entry")),
        (AS_WRITTEN, line("CACHE.GETORLOCK entry LEASE 5000 BLOCK 2000")),
        (GROUPED, line("CACHE.GETORLOCK entry GROUP lab")),
        (TAGGED, line("CACHE.GETORLOCK tagged")),
        ("CACHE.GET, HIT", line("CACHE.GET entry")),
        ("CACHE.GETORLOCK, STALE", line("CACHE.GETORLOCK stale")),
        ("EVALSHA of the lock script, hit", command(&["EVALSHA", &get.script, "2", "plain", "lock", "me", "10000"])),
    ] {
        progress.tell(name);
        let cost = counter.cost(|_| frame.clone()).await?;
        costs.insert(name, cost);
        table.row(cost.cells(name, get.cost.instructions));
    }
    progress.tell("CACHE.GETORLOCK and CACHE.FILL");
    let pair = counter.pair().await?;
    table.row(pair.cells("LOCK and FILL, a pair", get.cost.instructions));
    for (name, size) in [("1 KB", 1_000), ("100 KB", 100_000)] {
        counter.counted = (scale.counted * 1_000 / size).clamp(200, scale.counted);
        let get = prepare(&mut counter, &"x".repeat(size)).await?;
        table.row(get.cost.cells(&format!("GET, {name}"), get.cost.instructions));
        let cost = counter.cost(|_| line("CACHE.GETORLOCK entry")).await?;
        table.row(cost.cells(&format!("CACHE.GETORLOCK, HIT, {name}"), get.cost.instructions));
    }
    findings.table(table.with_note(
        "5-byte values, and × GET of the same size. Allocations: calls per command of RedisModule_Alloc and its kin; \
         what the server allocates itself, for GET too, is not among them.",
    ));

    let of = |name| costs.get(name).copied().with_context(|| format!("{name} was not counted"));
    let hit = of(HIT)?;
    for (name, against, target, limit) in [
        (HIT, ("GET", get.cost), "≤ 1.40 ×", 1.40),
        (AS_WRITTEN, ("GET", get.cost), "≤ 1.95 ×", 1.95),
        (GROUPED, ("GET", get.cost), "≤ 1.65 ×", 1.65),
        (TAGGED, ("a hit without tags", hit), "≤ 1.10 ×", 1.10),
    ] {
        let ratio = of(name)?.instructions / against.1.instructions;
        let beside = format!("{}: {}", against.0, count(against.1.instructions));
        let what = format!("{name}: instructions");
        findings.target(what, count(of(name)?.instructions), beside, times(ratio), target, ratio <= limit);
    }
    findings.target(
        "a hit: the module's allocations",
        format!("{:.3}", hit.allocations),
        format!("LOCK and FILL: {:.1}", pair.allocations),
        format!("{:.3}", hit.allocations),
        "0",
        hit.allocations == 0.0 && pair.allocations > 0.0,
    );
    drop(server);
    growth(options, scale, findings, &progress).await
}

struct Get {
    cost: Cost,
    script: String,
}

/// Puts the value under every key that is asked for, and counts what GET of it costs.
async fn prepare(counter: &mut Counter<'_>, value: &str) -> Result<Get> {
    let connection = &mut counter.connection;
    connection.call(&command(&["SET", "plain", value, "PX", FAR])).await?;
    connection.call(&command(&["CACHE.SET", "entry", value, "PX", FAR])).await?;
    connection.call(&command(&["CACHE.SET", "tagged", value, "PX", FAR, "TAGS", "2", "a", "b"])).await?;
    connection.call(&command(&["CONFIG", "SET", "corral.groups", "lab lease-ms 5000 block-ms 2000"])).await?;
    connection.call(&command(&["CACHE.SET", "stale", value, "PX", "1", "SWR", FAR])).await?;
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    // Somebody has the lease: everyone else gets STALE.
    connection.call(&line("CACHE.GETORLOCK stale LEASE 300000")).await?;
    let script = connection.call(&command(&["SCRIPT", "LOAD", LOCK_SCRIPT])).await?.text();
    let cost = counter.cost(|_| line("GET plain")).await?;
    Ok(Get { cost, script })
}

/// The cost of a hit as there is more of everything else.
async fn growth(options: &Bench, scale: &Scale, findings: &mut Findings, progress: &Progress) -> Result<()> {
    let server = Server::start_counted(&options.subject).await?;
    let mut counter = Counter::new(&server, SHORT).await?;
    let mut table =
        Table::new("A hit as everything else grows", &["entries", "waiters elsewhere", "instructions", "× the first"]);
    let mut costs: Vec<f64> = Vec::new();
    let mut add = |entries: usize, waiters: usize, cost: Cost| {
        costs.push(cost.instructions);
        let ratio = cost.instructions / costs.first().copied().unwrap_or(f64::NAN);
        table.row([count(entries as f64), count(waiters as f64), count(cost.instructions), times(ratio)]);
        ratio
    };
    let mut worst: f64 = 1.0;
    let mut entries = 0;
    for &wanted in &scale.keyspaces {
        progress.tell(&format!("a hit among {wanted} entries"));
        while entries < wanted {
            let chunk = wanted.min(entries + 1_000);
            let frames =
                (entries..chunk).flat_map(|n| command(&["CACHE.SET", &format!("key:{n}"), "hello", "PX", FAR]));
            let frames: Vec<u8> = frames.collect();
            counter.connection.write(&frames).await?;
            counter.connection.skip((chunk - entries) * OK).await?;
            entries = chunk;
        }
        // The table of keys grows by and by; a hit during that would look in two.
        counter.settle().await?;
        worst = worst.max(add(entries, 0, counter.least_cost(|_| line("CACHE.GETORLOCK key:7")).await?));
    }
    let mut crowd = Vec::new();
    counter.connection.call(&line("CACHE.GETORLOCK elsewhere LEASE 300000")).await?;
    for &waiters in scale.crowds.iter().filter(|waiters| **waiters > 0) {
        progress.tell(&format!("a hit beside {waiters} waiters"));
        while crowd.len() < waiters {
            let mut waiter = server.connect().await?;
            waiter.send(&line("CACHE.GETORLOCK elsewhere BLOCK 0")).await?;
            crowd.push(waiter);
        }
        parked(&mut counter.connection, waiters).await?;
        worst = worst.max(add(entries, waiters, counter.least_cost(|_| line("CACHE.GETORLOCK key:7")).await?));
    }
    findings.table(table.with_note(
        "Counted by callgrind, one connection with 100 commands in a pipeline; the least of nine short runs, as the \
         server's housekeeping costs the more the more clients there are.",
    ));
    findings.target(
        format!("a hit among {} entries, beside {} waiters", count(entries as f64), count(crowd.len() as f64)),
        "instructions",
        "100 entries, no waiter",
        times(worst),
        "flat (≤ 1.1 ×)",
        worst <= 1.1,
    );
    Ok(())
}

impl<'a> Counter<'a> {
    pub(super) async fn new(server: &'a Server, counted: usize) -> Result<Self> {
        let connection = server.connect().await?;
        Ok(Self { server, connection, counted, written: 0 })
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// What the command takes that `frame` makes for each number.
    pub(super) async fn instructions(&mut self, frame: impl Fn(usize) -> Vec<u8>) -> Result<f64> {
        Ok(self.cost(frame).await?.instructions)
    }

    /// Of the command that `frame` makes for each number.
    async fn cost(&mut self, frame: impl Fn(usize) -> Vec<u8>) -> Result<Cost> {
        self.connection.call(&frame(0)).await?;
        let few = self.run(self.counted, &frame).await?;
        let many = self.run(self.counted * 3, &frame).await?;
        Ok(few.until(many, self.counted * 2))
    }

    /// The same among many clients: the server looks after each of them once a second, at a cost that would drown what is
    /// to be seen. Of several runs so short that most are spared that, the least counts.
    async fn least_cost(&mut self, frame: impl Fn(usize) -> Vec<u8>) -> Result<Cost> {
        self.connection.call(&frame(0)).await?;
        let (mut few, mut many) = (None, None);
        for _ in 0..SHORT_RUNS {
            few = Some(self.run(self.counted, &frame).await?.least(few));
            many = Some(self.run(self.counted * 3, &frame).await?.least(many));
        }
        let (few, many) = few.zip(many).context("no run at all")?;
        Ok(few.until(many, self.counted * 2))
    }

    async fn run(&mut self, commands: usize, frame: &impl Fn(usize) -> Vec<u8>) -> Result<Cost> {
        self.start().await?;
        for begin in (0..commands).step_by(PIPELINE) {
            let end = commands.min(begin + PIPELINE);
            let frames: Vec<u8> = (begin..end).flat_map(frame).collect();
            self.connection.write(&frames).await?;
            for _ in begin..end {
                self.connection.receive().await?;
            }
        }
        self.end().await
    }

    /// Of a rebuild as its holder sees it: a lease for a key that is not there, and its fill.
    async fn pair(&mut self) -> Result<Cost> {
        let few = self.run_pairs(self.counted, "few").await?;
        let many = self.run_pairs(self.counted * 3, "many").await?;
        Ok(few.until(many, self.counted * 2))
    }

    async fn run_pairs(&mut self, pairs: usize, prefix: &str) -> Result<Cost> {
        self.start().await?;
        for begin in (0..pairs).step_by(PIPELINE) {
            let keys: Vec<String> = (begin..pairs.min(begin + PIPELINE)).map(|n| format!("{prefix}:{n}")).collect();
            let locks: Vec<u8> = keys.iter().flat_map(|key| command(&["CACHE.GETORLOCK", key])).collect();
            self.connection.write(&locks).await?;
            let mut fills = Vec::new();
            for key in &keys {
                let token = self.connection.receive().await?.state()?.1.to_string();
                fills.extend(command(&["CACHE.FILL", key, &token, "hello", "PX", FAR]));
            }
            self.connection.write(&fills).await?;
            for _ in &keys {
                self.connection.receive().await?;
            }
        }
        self.end().await
    }

    async fn settle(&mut self) -> Result<()> {
        for _ in 0..20 {
            let frames = line("GET plain").repeat(1_000);
            self.connection.write(&frames).await?;
            for _ in 0..1_000 {
                self.connection.receive().await?;
            }
        }
        Ok(())
    }

    async fn start(&mut self) -> Result<()> {
        self.connection.call(&line("ECHO x")).await?;
        self.written += 1;
        Ok(())
    }

    async fn end(&mut self) -> Result<Cost> {
        self.start().await?;
        let (number, text) = self.server.last_count()?;
        anyhow::ensure!(number == self.written, "callgrind wrote {number} counts, not {}", self.written);
        Cost::read(&text)
    }
}

impl Cost {
    /// Of what callgrind writes: its sum, and the lines `calls=` after the name of the function called.
    fn read(text: &str) -> Result<Self> {
        let sum = text.lines().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
        let instructions: f64 = sum.context("callgrind wrote no sum")?.trim().parse()?;
        let mut allocations = 0.0;
        let mut called = "";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("cfn=") {
                called = name;
            } else if let Some(calls) = line.strip_prefix("calls=") {
                if ALLOCATORS.iter().any(|name| called.ends_with(name)) {
                    allocations += calls.split(' ').next().unwrap_or_default().parse::<f64>()?;
                }
            }
        }
        Ok(Self { instructions, allocations })
    }

    /// The cheaper of the two.
    fn least(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.instructions < self.instructions => other,
            _ => self,
        }
    }

    fn until(self, many: Self, commands: usize) -> Self {
        Self {
            instructions: (many.instructions - self.instructions) / commands as f64,
            allocations: (many.allocations - self.allocations) / commands as f64,
        }
    }

    fn cells(self, name: &str, get: f64) -> [String; 4] {
        let allocations = format!("{:.2}", self.allocations);
        [name.to_owned(), count(self.instructions), times(self.instructions / get), allocations]
    }
}

/// The server's version, which the report names.
const PIPELINE: usize = 100;
/// Commands of a run that is over in a tenth of a second, and how many of them.
const SHORT: usize = 1_000;
const SHORT_RUNS: usize = 9;
/// A time to live that is never up, and always answered in the same number of digits.
const FAR: &str = "100000000";
/// The length of "+OK\r\n".
const OK: usize = 5;
/// Functions of the server that only modules call.
const ALLOCATORS: [&str; 6] = ["_Alloc", "_TryAlloc", "_Calloc", "_TryCalloc", "_Realloc", "_TryRealloc"];
