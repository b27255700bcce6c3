//! What a slow, broken or missing way to the server does.

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use corral::{Corral, Error, Options, Settings};
use serde::{Deserialize, Serialize, Serializer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};

use crate::{ask, client, key};

const MINUTE: Duration = Duration::from_secs(60);

/// Of answers, and connections.
#[derive(Default)]
struct Trouble {
    late_ms: AtomicU64,
    refused: AtomicUsize,
    broken: Notify,
}

/// A way to the server that can be made slow, or broken.
struct Way {
    port: u16,
    trouble: Arc<Trouble>,
}

impl Way {
    async fn new() -> Self {
        let listener = free().await;
        let (port, trouble) = (listener.local_addr().unwrap().port(), Arc::new(Trouble::default()));
        let (server, told) = (client().get_connection_info().addr().to_string(), trouble.clone());
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let refused = &told.refused;
                if refused.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    continue; // dropped, and so closed
                }
                let (server, told) = (TcpStream::connect(&server).await.unwrap(), told.clone());
                tokio::spawn(async move {
                    let (questions, asking) = caller.into_split();
                    let (answers, answering) = server.into_split();
                    let prompt = AtomicU64::new(0);
                    tokio::select! {
                        () = carried(questions, answering, &prompt) => {}
                        () = carried(answers, asking, &told.late_ms) => {}
                        () = told.broken.notified() => {}
                    }
                });
            }
        });
        Way { port, trouble }
    }

    fn cache(&self, settings: Settings) -> Corral {
        let url = format!("redis://127.0.0.1:{}", self.port);
        Corral::with(redis::Client::open(url).unwrap(), settings.defaults(Options::new().ttl(MINUTE)))
    }

    fn answers_take(&self, late: Duration) {
        self.trouble.late_ms.store(late.as_millis() as u64, Ordering::Relaxed);
    }

    /// All connections, and so many of the next.
    fn breaks(&self, next: usize) {
        self.trouble.refused.store(next, Ordering::Relaxed);
        self.trouble.broken.notify_waiters();
    }
}

async fn free() -> TcpListener {
    for port in (20_000..32_000).skip(std::process::id() as usize % 10_000) {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return listener;
        }
    }
    panic!("no port is free");
}

async fn carried(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, late_ms: &AtomicU64) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        tokio::time::sleep(Duration::from_millis(late_ms.load(Ordering::Relaxed))).await;
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

async fn text(cache: &Corral, key: &str, own: &str) -> String {
    let own = own.to_owned();
    cache.get_or_build(key, move || async { Ok::<_, String>(own) }).await.unwrap()
}

#[tokio::test]
async fn a_near_copy_of_a_late_answer_does_not_outlive_the_value() {
    let (way, key) = (Way::new().await, key());
    let cache = way.cache(Settings::new().local(10).local_ttl(MINUTE));
    text(&cache, &crate::key(), "the connection is there").await;
    way.answers_take(Duration::from_millis(2_500));
    let _: String = ask(&format!("CACHE.SET {key} \"old\" PX 2000")).await;
    assert_eq!(text(&cache, &key, "own").await, "old");
    way.answers_take(Duration::ZERO);
    assert_eq!(text(&cache, &key, "new").await, "new");
}

/// The runtime that tried whether the outage is over has been shut down.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_ends_though_the_runtime_that_tried_has_ended() {
    let (way, key) = (Way::new().await, key());
    let cache = way.cache(Settings::new());
    let _: String = ask(&format!("CACHE.SET {key} \"theirs\" PX 60000")).await;
    way.breaks(usize::MAX);
    assert_eq!(text(&cache, &key, "own").await, "own");
    way.breaks(0);
    way.answers_take(MINUTE);
    let (its, own) = (cache.clone(), key.clone());
    let tried = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
            crate::until("one tries", || async { text(&its, &own, "own").await == "own" && tasks() > 0 }).await;
        });
        runtime.shutdown_background();
    });
    tried.await.unwrap();
    way.answers_take(Duration::ZERO);
    crate::until("the server is asked again", || async { text(&cache, &key, "own").await == "theirs" }).await;
}

#[tokio::test]
async fn what_is_outdated_while_the_connection_breaks_is_outdated_all_the_same() {
    let (way, key) = (Way::new().await, key());
    let cache = way.cache(Settings::new());
    let _: String = ask(&format!("CACHE.SET {key} \"old\" PX 60000 VERSION 1")).await;
    assert_eq!(text(&cache, &key, "own").await, "old");
    way.breaks(2);
    cache.outdate(&key, 2).await.unwrap();
    assert_eq!(text(&cache, &key, "new").await, "new");
    way.breaks(usize::MAX);
    let error = cache.outdate(&key, 3).await.unwrap_err();
    assert!(
        matches!(&error, Error::NotAllAnswered(nodes, _) if nodes == &[format!("127.0.0.1:{}", way.port)]),
        "{error}"
    );
}

#[derive(Debug, Deserialize)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it cannot be written"))
    }
}

#[tokio::test]
async fn without_a_server_what_cannot_be_encoded_is_built_once_for_all_who_wait() {
    let nobody = free().await.local_addr().unwrap();
    let cache = Corral::open(format!("redis://{nobody}")).unwrap();
    let (key, builds) = (key(), Arc::new(AtomicUsize::new(0)));
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let call = || {
        let (builds, begun, go) = (builds.clone(), begun.clone(), go.clone());
        let build = move || async move {
            builds.fetch_add(1, Ordering::Relaxed);
            begun.notify_one();
            let _ended = go.acquire().await.unwrap();
            Ok::<_, String>(Unwritable)
        };
        let (cache, key) = (cache.clone(), key.clone());
        async move { cache.get_or_build(key, build).await }
    };
    let first = tokio::spawn(call());
    begun.notified().await;
    let mut second = Box::pin(call());
    // Polled once, it has joined the flight.
    assert!(std::future::poll_fn(|context| std::task::Poll::Ready(second.as_mut().poll(context).is_pending())).await);
    go.add_permits(1);
    assert!(matches!(first.await.unwrap().unwrap_err(), Error::Serialization(_)));
    let others = second.await.unwrap_err();
    assert!(matches!(&others, Error::Failed(failed) if failed.message.contains("cannot be written")), "{others}");
    assert_eq!(builds.load(Ordering::Relaxed), 1);
}
