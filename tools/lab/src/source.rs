//! The slow source behind the cache: what a client builds a value from.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::Semaphore;

use crate::sales::Sales;

#[derive(Clone)]
pub(crate) enum Source {
    /// Takes so long, however many ask at once: kind to those that ask often.
    Pause { takes: Duration, value: Rc<[u8]> },
    /// The same on a few connections, which all builds share: whoever comes when all are taken has to wait.
    Pool { takes: Duration, value: Rc<[u8]>, connections: Rc<Semaphore> },
    /// A query that is really run, each on a thread and a connection of its own, as web workers would.
    Sales(Arc<Sales>),
}

impl Source {
    pub(crate) async fn build(&self) -> Result<Vec<u8>> {
        match self {
            Self::Pause { takes, value } => {
                tokio::time::sleep(*takes).await;
                Ok(value.to_vec())
            }
            Self::Pool { takes, value, connections } => {
                let _connection = connections.acquire().await?;
                tokio::time::sleep(*takes).await;
                Ok(value.to_vec())
            }
            Self::Sales(sales) => {
                let sales = Arc::clone(sales);
                tokio::task::spawn_blocking(move || sales.report()).await.context("a query's thread died")?
            }
        }
    }
}
