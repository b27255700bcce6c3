//! A MultiplexedConnection sends everything over one socket, where a parked call would hold up every other, and fails
//! them after 500 ms: each parked call gets one of its own, with a longer time-out.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{cmd, AsyncConnectionConfig, Client, RedisResult};
use tokio::sync::Semaphore;

use crate::corral::{ms, Answer, Transport, Watch};

#[derive(Clone)]
pub struct Parked {
    client: Client,
    shared: MultiplexedConnection,
    idle: Arc<Mutex<Vec<MultiplexedConnection>>>,
    room: Arc<Semaphore>,
    block: Duration,
}

impl Parked {
    pub async fn connect(client: Client, block: Duration, most_parked: usize) -> RedisResult<Self> {
        let shared = client.get_multiplexed_async_connection().await?;
        Ok(Parked { client, shared, idle: Arc::default(), room: Arc::new(Semaphore::new(most_parked)), block })
    }

    async fn own(&self) -> RedisResult<MultiplexedConnection> {
        if let Some(idle) = self.idle.lock().expect("nobody panics while holding it").pop() {
            return Ok(idle);
        }
        let timeout = AsyncConnectionConfig::new().set_response_timeout(Some(self.block + Duration::from_secs(3)));
        self.client.get_multiplexed_async_connection_with_config(&timeout).await
    }
}

impl Transport for Parked {
    type Watch = AskAgainSoon;

    fn connection(&self) -> MultiplexedConnection {
        self.shared.clone()
    }

    async fn get_or_lock(&self, key: &str, lease: Duration) -> RedisResult<Answer> {
        let _room = self.room.acquire().await; // more callers than that queue
        let mut own = self.own().await?;
        let mut ask = cmd("CACHE.GETORLOCK");
        ask.arg(key).arg("LEASE").arg(ms(lease)).arg("BLOCK").arg(ms(self.block));
        let answer = ask.query_async(&mut own).await?;
        // Not reached after an error, nor by a caller who is dropped: that connection closes, and nobody is parked on it.
        self.idle.lock().expect("nobody panics while holding it").push(own);
        Ok(answer)
    }

    async fn watch(&self, _key: &str) -> RedisResult<AskAgainSoon> {
        Ok(AskAgainSoon)
    }
}

/// WAIT means that BLOCK ran out, or that the server parks nobody just now.
pub struct AskAgainSoon;

impl Watch for AskAgainSoon {
    async fn change(&mut self, _at_most: Duration) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
