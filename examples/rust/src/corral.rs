//! `get_or_build`: one caller builds, everybody else gets the value. How a caller waits is the transport's part:
//! `parked.rs` and `events.rs`.

use std::error::Error;
use std::future::Future;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{cmd, RedisResult};
use tokio::task::JoinHandle;

pub type Failure = Box<dyn Error + Send + Sync>;
/// State, value, number.
pub type Answer = (String, Option<String>, i64);

#[derive(Clone)]
pub struct Corral<T> {
    pub transport: T,
    pub times: Times,
}

/// Sent in ms. The lease is renewed while a build runs, so it need not cover the slowest. After `patience` a caller builds
/// for itself.
#[derive(Clone)]
pub struct Times {
    pub fresh: Duration,
    pub swr: Duration,
    pub sie: Duration,
    pub backoff: Duration,
    pub lease: Duration,
    pub patience: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let s = Duration::from_secs;
        Times { fresh: s(60), swr: s(30), sie: s(300), backoff: s(1), lease: s(10), patience: s(30) }
    }
}

pub trait Transport: Clone + Send + Sync + 'static {
    type Watch: Watch;
    fn connection(&self) -> MultiplexedConnection;
    fn get_or_lock(&self, key: &str, lease: Duration) -> impl Future<Output = RedisResult<Answer>> + Send;
    fn watch(&self, key: &str) -> impl Future<Output = RedisResult<Self::Watch>> + Send;
}

/// On from the moment it is made: `change` returns at once if something changed since. Dropping it ends it.
pub trait Watch: Send {
    fn change(&mut self, at_most: Duration) -> impl Future<Output = ()> + Send;
}

impl<T: Transport> Corral<T> {
    pub async fn get_or_build<B, F>(&self, key: &str, build: B) -> Result<String, Failure>
    where
        B: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<String, Failure>> + Send + 'static,
    {
        let patience_ends = Instant::now() + self.times.patience;
        let mut watch = None;
        loop {
            let (state, value, number) = self.transport.get_or_lock(key, self.times.lease).await?;
            match (state.as_str(), value) {
                ("HIT" | "STALE", Some(value)) => return Ok(value),
                ("REFRESH", Some(value)) => {
                    self.start(key, number, build()); // CACHE.FAIL tells of its failure
                    return Ok(value);
                }
                ("LOCK", _) => return self.start(key, number, build()).await?,
                ("PASS", _) => return build().await, // not to be shared, so not stored
                // The last build failed, perhaps in another process; the message is its holder's.
                ("FAIL", message) => return Err(message.unwrap_or_default().into()),
                ("WAIT", _) => {} // the lease is another's
                (state, _) => return Err(format!("unexpected answer: {state}").into()),
            }
            let left = patience_ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return build().await; // not stored
            }
            match &mut watch {
                Some(watch) => Watch::change(watch, left.min(Duration::from_millis(number as u64 + 1))).await,
                // What changed before the watch was on shows in the next answer.
                none => *none = Some(self.transport.watch(key).await?),
            }
        }
    }

    /// In a task of its own, so that a caller who is dropped does not leave its lease behind.
    fn start<F>(&self, key: &str, token: i64, build: F) -> JoinHandle<Result<String, Failure>>
    where
        F: Future<Output = Result<String, Failure>> + Send + 'static,
    {
        tokio::spawn(self.clone().rebuild(key.to_owned(), token, build))
    }

    async fn rebuild<F>(self, key: String, token: i64, build: F) -> Result<String, Failure>
    where
        F: Future<Output = Result<String, Failure>> + Send + 'static,
    {
        let mut connection = self.transport.connection();
        let mut building = tokio::spawn(build); // a panic in it is a failure like others
        let built = loop {
            tokio::select! {
                built = &mut building => break built.unwrap_or_else(|panicked| Err(panicked.into())),
                () = tokio::time::sleep(self.times.lease / 3) => {
                    let renew = cmd("CACHE.RENEW").arg(&key).arg(token).arg(ms(self.times.lease)).to_owned();
                    let _tried_again = renew.exec_async(&mut connection).await;
                }
            }
        };
        match built {
            Ok(value) => {
                let mut fill = cmd("CACHE.FILL");
                fill.arg(&key).arg(token).arg(&value).arg("PX").arg(ms(self.times.fresh));
                fill.arg("SWR").arg(ms(self.times.swr)).arg("SIE").arg(ms(self.times.sie));
                // nil is normal: the key was invalidated, or another took over. An error (out of memory) is no reason to
                // lose what was built either.
                let _stored = fill.exec_async(&mut connection).await;
                Ok(value)
            }
            Err(failure) => {
                let message = failure.to_string();
                let message = &message.as_bytes()[..message.len().min(1024)];
                let mut fail = cmd("CACHE.FAIL");
                fail.arg(&key).arg(token).arg(message).arg("BACKOFF").arg(ms(self.times.backoff));
                match fail.query_async::<Option<Answer>>(&mut connection).await {
                    Ok(Some((state, Some(old), _))) if state == "STALE" => Ok(old), // which may still be served
                    _ => Err(failure),
                }
            }
        }
    }
}

pub fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}
