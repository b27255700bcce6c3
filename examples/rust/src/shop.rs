//! The shop's orders. Each query is written down, so that it can be counted.

use std::fmt;
use std::time::Duration;

use rusqlite::Connection;

/// What went wrong in SQLite, or in the thread that asked it.
#[derive(Debug)]
pub struct QueryError(String);

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        QueryError(error.to_string())
    }
}

#[derive(Clone)]
pub struct Shop {
    database: String,
}

impl Shop {
    pub fn open(database: String) -> rusqlite::Result<Self> {
        let shop = Shop { database };
        shop.connect()?.execute_batch(
            "CREATE TABLE IF NOT EXISTS orders (day TEXT, amount INTEGER);
             CREATE TABLE IF NOT EXISTS queries (day TEXT, process INTEGER);",
        )?;
        Ok(shop)
    }

    /// Slow: a query over a year of orders.
    pub async fn report(self, day: String) -> Result<String, QueryError> {
        self.ask(move |database| {
            database.execute("INSERT INTO queries VALUES (?1, ?2)", (&day, std::process::id()))?;
            std::thread::sleep(Duration::from_secs(1));
            database.query_row("SELECT count(*), total(amount) FROM orders WHERE day = ?1", [&day], |row| {
                Ok(format!("{} orders, {} in all", row.get::<_, i64>(0)?, row.get::<_, f64>(1)?))
            })
        })
        .await
    }

    pub async fn order(&self, day: String, amount: i64) -> Result<(), QueryError> {
        self.ask(move |database| database.execute("INSERT INTO orders VALUES (?1, ?2)", (day, amount)).map(drop)).await
    }

    pub async fn queries(&self, day: String) -> Result<i64, QueryError> {
        self.ask(move |database| database.query_row("SELECT count(*) FROM queries WHERE day = ?1", [day], |row| row.get(0))).await
    }

    /// SQLite blocks its thread, and so gets one of its own.
    async fn ask<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueryError> {
        let shop = self.clone();
        let asking = tokio::task::spawn_blocking(move || query(&shop.connect()?));
        Ok(asking.await.map_err(|error| QueryError(error.to_string()))??)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let database = Connection::open(&self.database)?;
        database.busy_timeout(Duration::from_secs(10))?;
        Ok(database)
    }
}
