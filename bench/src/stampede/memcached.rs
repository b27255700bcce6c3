//! memcached's meta protocol: a miss leaves a mark; one caller is told W, that it has won, the others Z, that somebody
//! has. There is no way to wait but to ask again.

use anyhow::{Context, Result};

use super::client::Client;
use super::{POLL, TTL, VALUE};
use crate::wire::Connection;

pub(super) async fn ask(client: &mut Client, key: &str) -> Result<()> {
    let ask = format!("mg {key} s v N10\r\n");
    loop {
        client.connection.send(ask.as_bytes()).await?;
        let head = client.connection.receive_line().await?;
        // VA, or EN for nothing there: then without N.
        let mut words = head.split(' ');
        anyhow::ensure!(words.next() == Some("VA"), "memcached answered {head}");
        client.connection.receive_line().await?;
        if words.clone().any(|flag| flag == "W") {
            client.build(key).await;
            let store = format!("ms {key} {} T{}\r\n{VALUE}\r\n", VALUE.len(), TTL.as_secs());
            client.connection.send(store.as_bytes()).await?;
            client.connection.receive_line().await?;
            return Ok(());
        }
        if !words.any(|flag| flag == "Z") {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Seconds of processor time the server has spent.
pub(super) async fn processor(asker: &mut Connection) -> Result<f64> {
    asker.send(b"stats\r\n").await?;
    let mut seconds = 0.0;
    loop {
        let line = asker.receive_line().await?;
        if line == "END" {
            return Ok(seconds);
        }
        if let Some(figure) = line.strip_prefix("STAT rusage_user ").or(line.strip_prefix("STAT rusage_system ")) {
            seconds += figure.parse::<f64>().context("memcached told no time")?;
        }
    }
}
