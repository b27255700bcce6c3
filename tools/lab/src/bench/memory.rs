//! What an entry takes beyond an ordinary key with the same value and time to live.

use anyhow::Result;

use crate::bench::findings::Findings;
use crate::facts::memory;
use crate::options::Bench;
use crate::progress::Progress;
use crate::server::Server;
use crate::table::{count, Table};
use crate::wire::{command, line, Connection};

pub(crate) async fn measure(options: &Bench, findings: &mut Findings) -> Result<()> {
    let progress = Progress::begin("memory per entry");
    let mut table = Table::new("Memory per entry", &["value", "SET … PX", "CACHE.SET … PX", "extra"]);
    let mut worst: f64 = 0.0;
    for size in [5, 40, 100, 1_000] {
        progress.tell(&format!("values of {size} bytes"));
        let value = "x".repeat(size);
        let plain = per_key(options, "SET", &value).await?;
        let entry = per_key(options, "CACHE.SET", &value).await?;
        worst = worst.max(entry - plain);
        table.row([
            format!("{size} B"),
            format!("{plain:.1} B"),
            format!("{entry:.1} B"),
            format!("{:.1} B", entry - plain),
        ]);
    }
    let note = format!("used_memory of {} keys with a time to live, on a fresh server each.", count(KEYS as f64));
    findings.table(table.with_note(&note));
    let figure = format!("{worst:.1} B");
    findings.target("extra memory per entry", figure.clone(), "SET … PX", figure, "≤ 96 B", worst <= 96.0);
    Ok(())
}

async fn per_key(options: &Bench, set: &str, value: &str) -> Result<f64> {
    let server = Server::start(&options.subject).await?;
    let mut connection = server.connect().await?;
    // Both know the command by now, and have their buffers.
    store(&mut connection, set, value, 0..1_000).await?;
    connection.call(&line("FLUSHALL SYNC")).await?;
    let before = memory(&mut connection).await?;
    store(&mut connection, set, value, 0..KEYS).await?;
    // Half of the tables is still being moved otherwise.
    connection.call(&line("PING")).await?;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    Ok((memory(&mut connection).await? - before) / KEYS as f64)
}

async fn store(connection: &mut Connection, set: &str, value: &str, keys: std::ops::Range<usize>) -> Result<()> {
    for begin in keys.clone().step_by(CHUNK) {
        let end = keys.end.min(begin + CHUNK);
        let frames = (begin..end).flat_map(|n| command(&[set, &format!("key:{n:06}"), value, "PX", "3600000"]));
        connection.write(&frames.collect::<Vec<u8>>()).await?;
        connection.skip((end - begin) * "+OK\r\n".len()).await?;
    }
    Ok(())
}

const KEYS: usize = 100_000;
const CHUNK: usize = 1_000;
