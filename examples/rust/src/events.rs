//! Waits without BLOCK: one MultiplexedConnection for commands and events, however many callers wait.
//! The server needs: CONFIG SET notify-keyspace-events Kd

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{cmd, from_redis_value, AsyncConnectionConfig, Client, PushInfo, PushKind, RedisResult};
use tokio::sync::{broadcast, mpsc, Mutex};

use crate::corral::{ms, Answer, Transport, Watch};

#[derive(Clone)]
pub struct Events {
    shared: MultiplexedConnection,
    changes: broadcast::Sender<String>, // the channel's name, to every watch
    watching: Arc<Mutex<HashMap<String, usize>>>,
}

impl Events {
    /// Events come on the connection that sends the commands, which takes RESP3: redis://…/?protocol=resp3
    pub async fn connect(client: &Client) -> RedisResult<Self> {
        let (pushes, mut pushed) = mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new().set_push_sender(pushes);
        let shared = client.get_multiplexed_async_connection_with_config(&config).await?;
        let changes = broadcast::channel(1024).0;
        let sender = changes.clone();
        tokio::spawn(async move {
            while let Some(PushInfo { kind, data }) = pushed.recv().await {
                let mut texts = data.into_iter().filter_map(|each| from_redis_value::<String>(each).ok());
                if let (PushKind::Message, Some(channel), Some(event)) = (kind, texts.next(), texts.next()) {
                    // After cache.lock, which says that a lease was granted, there is nothing to fetch yet.
                    if event != "cache.lock" {
                        let _nobody_waits = sender.send(channel);
                    }
                }
            }
        });
        Ok(Events { shared, changes, watching: Arc::default() })
    }
}

impl Transport for Events {
    type Watch = Changes;

    fn connection(&self) -> MultiplexedConnection {
        self.shared.clone()
    }

    async fn get_or_lock(&self, key: &str, lease: Duration) -> RedisResult<Answer> {
        let mut ask = cmd("CACHE.GETORLOCK");
        ask.arg(key).arg("LEASE").arg(ms(lease)).query_async(&mut self.connection()).await
    }

    async fn watch(&self, key: &str) -> RedisResult<Changes> {
        let channel = format!("__keyspace@0__:{key}");
        // Held until the server has confirmed. First in subscribes, last out unsubscribes.
        let mut watching = self.watching.lock().await;
        if !watching.contains_key(&channel) {
            self.connection().subscribe(&channel).await?;
        }
        *watching.entry(channel.clone()).or_default() += 1;
        // Keeps the events that come between an answer and the wait.
        Ok(Changes { events: self.clone(), heard: self.changes.subscribe(), channel })
    }
}

pub struct Changes {
    events: Events,
    heard: broadcast::Receiver<String>,
    channel: String,
}

impl Watch for Changes {
    /// At the latest after the number's ms: a lease that runs out makes no event.
    async fn change(&mut self, at_most: Duration) {
        let ours = async {
            // An error says that events were missed: ours may be among them.
            while matches!(self.heard.recv().await, Ok(channel) if channel != self.channel) {}
        };
        let _either = tokio::time::timeout(at_most, ours).await;
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        let (events, channel) = (self.events.clone(), std::mem::take(&mut self.channel));
        tokio::spawn(async move {
            let mut watching = events.watching.lock().await;
            let Some(watches) = watching.get_mut(&channel) else { return };
            *watches -= 1;
            if *watches == 0 {
                watching.remove(&channel);
                let _gone = events.connection().unsubscribe(&channel).await;
            }
        });
    }
}
