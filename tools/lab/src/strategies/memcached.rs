//! memcached's meta protocol: a miss leaves a mark; one caller is told W, that it has won, the others Z, that somebody
//! has. There is no way to wait but to ask again.

use anyhow::{Context, Result};

use super::client::Client;
use super::{Answer, POLL};
use crate::wire::Connection;

pub(super) async fn ask(client: &mut Client, key: &str) -> Result<Answer> {
    let ask = format!("mg {key} s v N10\r\n");
    loop {
        client.connection.send(ask.as_bytes()).await?;
        let head = client.connection.receive_line().await?;
        // VA, the length, and flags; EN for nothing there would be without N.
        let mut words = head.split(' ');
        anyhow::ensure!(words.next() == Some("VA"), "memcached answered {head}");
        let length = words.next().and_then(|length| length.parse().ok()).context("memcached told no length")?;
        let value = client.connection.receive_block(length).await?;
        if words.clone().any(|flag| flag == "W") {
            let value = client.build(key).await?;
            store(client, key, &value).await?;
            return Ok(value.into());
        }
        if !words.any(|flag| flag == "Z") {
            return Ok(value.into());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// It counts in whole seconds.
pub(super) async fn store(client: &mut Client, key: &str, value: &[u8]) -> Result<()> {
    let sent = client.ledger.borrow().now();
    let mut store = format!("ms {key} {} T{}\r\n", value.len(), client.ttl.as_secs().max(1)).into_bytes();
    store.extend(value);
    store.extend(b"\r\n");
    client.connection.send(&store).await?;
    let answer = client.connection.receive_line().await?;
    anyhow::ensure!(answer == "HD", "memcached answered {answer}");
    client.ledger.borrow_mut().stores.push(sent);
    Ok(())
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
