//! A slow source: a SQLite database of sales, and a report over all of them.
//!
//! Nothing is staged: no sleep stands in for work. The database is filled until the report takes as long
//! as wanted on this machine, and everyone who runs it opens a connection of their own, as web workers do.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};

use crate::interrupt;

/// A filled database whose report takes a known time.
pub(crate) struct Sales {
    path: PathBuf,
    /// Held open and unused: the last connection to close would fold up the write-ahead log, and the
    /// next reader would have to lay it out again.
    _keeper: Mutex<Connection>,
    pub(crate) rows: u64,
    /// What the report takes, run by itself: the best of a few runs, as whatever else the machine
    /// does meanwhile can only add to it.
    pub(crate) query_time: Duration,
    /// The report as it must be. The sales do not change any more, so every later one must equal it.
    pub(crate) truth: Vec<u8>,
}

impl Sales {
    /// Fills a database in `directory` until its report takes about `wanted`. `progress` hears of each step.
    pub(crate) fn calibrated(directory: &Path, wanted: Duration, mut progress: impl FnMut(String)) -> Result<Self> {
        let path = directory.join("sales.db");
        let mut keeper = Connection::open(&path).context("cannot create the SQLite database")?;
        keeper.execute_batch(SCHEMA).context("cannot lay out the SQLite database")?;

        let mut rows = 0;
        let mut next = FIRST_ROWS;
        let mut query_time = Duration::ZERO;
        for _ in 0..CALIBRATIONS {
            resize(&mut keeper, rows, next, &mut progress)?;
            rows = next;
            query_time = time_by_itself(&path)?;
            progress(format!("{rows} sales: the report takes {} ms", query_time.as_millis()));
            let ratio = wanted.as_secs_f64() / query_time.as_secs_f64();
            if (0.9..1.1).contains(&ratio) {
                break;
            }
            // The report reads every sale, so its time grows with their number.
            next = ((rows as f64 * ratio) as u64).clamp(MIN_ROWS, MAX_ROWS);
        }
        let truth = run_report(&path)?;
        Ok(Self { path, _keeper: Mutex::new(keeper), rows, query_time, truth })
    }

    /// The report, anew.
    pub(crate) fn report(&self) -> Result<Vec<u8>> {
        run_report(&self.path)
    }
}

/// Runs the report on a connection of its own, as a web worker would.
fn run_report(path: &Path) -> Result<Vec<u8>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .context("cannot open the SQLite database")?;
    // Pages come from the operating system's cache as they are. Copied into each connection's own, two hundred
    // connections would wait for the allocator's lock as long again as for the processors.
    connection.execute_batch("PRAGMA mmap_size = 1000000000")?;
    let mut statement = connection.prepare(REPORT)?;
    let mut rows = statement.query([])?;
    let mut report = Vec::new();
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        report.extend_from_slice(line.as_bytes());
        report.push(b'\n');
    }
    Ok(report)
}

/// Adds or removes sales until there are `wanted`. Sales are made from their number alone, so the same
/// number of them is the same database.
fn resize(connection: &mut Connection, have: u64, wanted: u64, progress: &mut impl FnMut(String)) -> Result<()> {
    let mut first = have;
    while first < wanted {
        interrupt::check()?;
        let end = wanted.min(first + BATCH_ROWS);
        progress(format!("filling the database: {first} of {wanted} sales"));
        let transaction = connection.transaction()?;
        transaction.execute(INSERT, [first, end])?;
        transaction.commit()?;
        first = end;
    }
    if wanted < have {
        connection.execute("DELETE FROM sale WHERE id >= ?1", [wanted])?;
    }
    // Readers would otherwise look for every page in the log first, and take longer or shorter by its length.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

fn time_by_itself(path: &Path) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..TIMED_RUNS {
        interrupt::check()?;
        let begun = Instant::now();
        run_report(path)?;
        times.push(begun.elapsed());
    }
    times.into_iter().min().context("the report was never timed")
}

const FIRST_ROWS: u64 = 20_000;
const BATCH_ROWS: u64 = 50_000;
const MIN_ROWS: u64 = 1_000;
/// About 300 MB on disk.
const MAX_ROWS: u64 = 10_000_000;
/// The first guess is far off, the second near; the others are for a machine that is busy now and then.
const CALIBRATIONS: usize = 5;
const TIMED_RUNS: usize = 5;

/// Sales lie in the order the report groups them by, so that it needs no temporary files:
/// it is the processors that two hundred reports at once fight for.
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = OFF;
    CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT NOT NULL, cents INTEGER NOT NULL);
    CREATE TABLE sale (
        region INTEGER NOT NULL, month INTEGER NOT NULL, id INTEGER NOT NULL,
        customer INTEGER NOT NULL, product INTEGER NOT NULL, quantity INTEGER NOT NULL,
        PRIMARY KEY (region, month, id)
    ) WITHOUT ROWID;
    WITH RECURSIVE n(id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM n WHERE id < 499)
    INSERT INTO product SELECT id, printf('Product %03d', id), 199 + id * 7919 % 9800 FROM n;
";

/// Multiplying by large primes scatters neighbouring sales over regions, months, customers and products.
const INSERT: &str = "
    WITH RECURSIVE n(id) AS (SELECT ?1 UNION ALL SELECT id + 1 FROM n WHERE id + 1 < ?2)
    INSERT INTO sale
    SELECT id * 7919 % 10007 % 12, 202301 + id * 104729 % 10009 % 3 * 100 + id * 15485863 % 10037 % 12, id,
           (id * 611953 + id / 89) % 100003 % 997, id * 32452843 % 100019 % 500, 1 + id * 49979687 % 10039 % 5
    FROM n
";

/// Revenue, customers and best seller per region and month, with running totals and ranks.
const REPORT: &str = "
    WITH month AS (
        SELECT region, month, count(*) AS sales, count(DISTINCT customer) AS customers,
               sum(quantity * cents) AS revenue, max(quantity * cents) AS largest,
               avg(quantity * cents) AS average
        FROM sale JOIN product ON product.id = sale.product
        GROUP BY region, month
    )
    SELECT printf('%d|%d|%d sales|%d customers|%.2f|largest %.2f|average %.2f|year to date %.2f|rank %d',
                  region, month, sales, customers, revenue / 100.0, largest / 100.0, average / 100.0,
                  sum(revenue) OVER (PARTITION BY region, month / 100 ORDER BY month) / 100.0,
                  rank() OVER (PARTITION BY month ORDER BY revenue DESC))
    FROM month ORDER BY region, month
";
