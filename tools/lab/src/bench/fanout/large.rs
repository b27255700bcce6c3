//! A value of a mebibyte for a thousand waiters: replies come to a gibibyte, memory must not.

use anyhow::Result;

use super::round::{all_replies, hit_length};
use crate::bench::bystander::Bystander;
use crate::bench::findings::Findings;
use crate::facts::{memory, parked, Facts};
use crate::options::Bench;
use crate::progress::Progress;
use crate::server::Server;
use crate::table::{count, duration, mebibytes, Table};
use crate::wire::{command, line, Connection};

struct Outcome {
    growth: f64,
    evicted: f64,
    last: f64,
    ping: f64,
}

pub(crate) async fn measure(options: &Bench, findings: &mut Findings) -> Result<()> {
    let progress = Progress::begin("1 MiB for 1,000 waiters");
    let mut table = Table::new(
        "1 MiB for 1,000 readers",
        &["", "peak memory grows by", "keys evicted", "last reply", "longest PING"],
    );
    let fill = run(options, true).await?;
    table.row(fill.cells("CACHE.FILL"));
    let mut naive = "naive: 1024 MiB".to_owned();
    if options.full {
        progress.tell("PUBLISH of the same");
        let publish = run(options, false).await?;
        table.row(publish.cells("PUBLISH"));
        naive = format!("PUBLISH: {}", mebibytes(publish.growth));
    }
    drop(progress);
    findings.table(table.with_note(
        "maxmemory is 256 MiB above what is in use when all wait, with allkeys-lru and 10,000 other keys. \
         PUBLISH runs without maxmemory.",
    ));
    let (grown, met) = (mebibytes(fill.growth), fill.growth <= 128.0 * 1_048_576.0);
    findings.target("1,000 waiters × 1 MiB: peak memory grows", grown.clone(), naive, grown, "≤ 128 MiB", met);
    let evicted = count(fill.evicted);
    findings.target("the same: other keys evicted", evicted.clone(), "–", evicted, "0", fill.evicted == 0.0);
    Ok(())
}

async fn run(options: &Bench, corral: bool) -> Result<Outcome> {
    let server = Server::start(&options.subject).await?;
    let (mut asker, mut sender) = (server.connect().await?, server.connect().await?);
    for n in 0..10_000 {
        asker.call(&command(&["SET", &format!("other:{n}"), "value"])).await?;
    }
    // Buffers of this size are had once by every server; they are not what waiters cost.
    let value = "x".repeat(SIZE);
    sender.call(&command(&["SET", "warm", &value])).await?;
    let mut waiters = server.connect_all(WAITERS).await?;
    let (frame, length) = if corral {
        let length = hit_length(&mut sender, SIZE).await?;
        let token = sender.call(&line("CACHE.GETORLOCK large LEASE 300000")).await?.state()?.1.to_string();
        for waiter in &mut waiters {
            waiter.write(&line("CACHE.GETORLOCK large BLOCK 0")).await?;
        }
        parked(&mut asker, WAITERS).await?;
        limit_memory(&mut asker).await?;
        (command(&["CACHE.FILL", "large", &token, &value]), length)
    } else {
        asker.call(&command(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0"])).await?;
        for waiter in &mut waiters {
            waiter.call(&line("SUBSCRIBE large")).await?;
        }
        (command(&["PUBLISH", "large", &value]), command(&["message", "large", &value]).len())
    };
    let before = memory(&mut asker).await?;
    let bystander = Bystander::begin(server.port)?;
    let replies = all_replies(&mut waiters, length, &mut sender, &frame).await?;
    let ping = bystander.longest();
    let growth = Facts::ask(&mut asker, "memory").await?.number("used_memory_peak")? - before;
    let evicted = Facts::ask(&mut asker, "stats").await?.number("evicted_keys")?;
    Ok(Outcome { growth, evicted, last: replies.most(), ping })
}

async fn limit_memory(asker: &mut Connection) -> Result<()> {
    let limit = memory(asker).await? + 256.0 * 1_048_576.0;
    asker.call(&line("CONFIG SET maxmemory-policy allkeys-lru")).await?;
    asker.call(&line(&format!("CONFIG SET maxmemory {limit}"))).await?;
    Ok(())
}

impl Outcome {
    fn cells(&self, name: &str) -> [String; 5] {
        [name.to_owned(), mebibytes(self.growth), count(self.evicted), duration(self.last), duration(self.ping)]
    }
}

const WAITERS: usize = 1_000;
const SIZE: usize = 1_048_576;
