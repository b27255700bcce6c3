//! What applications give the package, and should not have: hooks that panic, errors that cannot be written, options that
//! no server takes, runtimes that stand still.

use std::fmt;
use std::future::{pending, Future};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use corral::{Corral, Degrade, Error, Options, Refresh, Settings, Target};
use tokio::runtime::Builder;
use tokio::sync::Notify;

use crate::{ask, client, corral, has_lease, key, until};

const MINUTE: Duration = Duration::from_secs(60);

fn with(settings: Settings) -> Corral {
    Corral::with(client(), settings.defaults(Options::new().ttl(MINUTE).swr(MINUTE).lease(MINUTE)))
}

async fn text(cache: &Corral, key: &str, own: &str) -> Result<String, Error<String>> {
    let own = own.to_owned();
    cache.get_or_build(key, move || async { Ok(own) }).await
}

async fn stale(key: &str) {
    let _: String = ask(&format!("CACHE.SET {key} \"old\" PX 1 SWR 60000")).await;
    until("the value is stale", || async {
        ask::<(String, redis::Value, i64)>(&format!("CACHE.GET {key}")).await.0 == "STALE"
    })
    .await;
}

struct Unwritable;
struct Panicking;

impl fmt::Display for Unwritable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Err(fmt::Error)
    }
}

impl fmt::Display for Panicking {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("while it was written")
    }
}

async fn fails_with<E: fmt::Display + Send + 'static>(error: E, name: &str) {
    let (cache, key) = (corral(), key());
    let own = cache.get_or_build::<String, _, _, _>(&key, || async { Err(error) }).await;
    assert!(matches!(own, Err(Error::Build(_))), "its own caller has its own error");
    assert!(!has_lease(&key).await);
    let others = text(&cache, &key, "again").await.unwrap_err();
    assert!(matches!(&others, Error::Failed(failed) if failed.message == name), "{others}");
}

#[tokio::test]
async fn an_error_that_cannot_be_written_is_a_failed_build() {
    fails_with(Unwritable, "Unwritable").await;
    fails_with(Panicking, "Panicking").await;
}

#[tokio::test]
async fn a_value_whose_serializer_panics_is_a_failed_build() {
    #[derive(serde::Deserialize)]
    struct Bomb;
    impl serde::Serialize for Bomb {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("in the serializer")
        }
    }
    let (cache, key) = (corral(), key());
    let (its, own) = (cache.clone(), key.clone());
    let built = tokio::spawn(async move { its.get_or_build(own, || async { Ok::<_, String>(Bomb) }).await.is_ok() });
    assert!(built.await.unwrap_err().is_panic());
    let others = text(&cache, &key, "again").await.unwrap_err();
    assert!(matches!(&others, Error::Failed(failed) if failed.message.contains("in the serializer")), "{others}");
}

/// Its future is dropped by a panic, but not by its own.
#[tokio::test]
async fn a_build_beside_one_that_panics_is_dropped_and_not_failed() {
    let (cache, key) = (corral(), key());
    let (its, own, begun) = (cache.clone(), key.clone(), Arc::new(Notify::new()));
    let both = tokio::spawn(async move {
        let telling = begun.clone();
        let build = move || async move {
            telling.notify_one();
            pending::<Result<String, String>>().await
        };
        let panics = async {
            begun.notified().await;
            panic!("not the build")
        };
        let ((), _) = tokio::join!(panics, its.get_or_build(own, build));
    });
    assert!(both.await.unwrap_err().is_panic());
    assert_eq!(text(&cache, &key, "next").await.unwrap(), "next");
}

#[tokio::test]
async fn without_a_server_a_panic_is_a_failed_build_for_those_who_wait() {
    let cache = Corral::open("redis://127.0.0.1:1").unwrap();
    let (key, begun, go) = (key(), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (its, own, telling, told) = (cache.clone(), key.clone(), begun.clone(), go.clone());
    let panics = tokio::spawn(async move {
        let build = move || async move {
            telling.notify_one();
            told.notified().await;
            if true {
                panic!("no orders")
            }
            Ok::<_, String>(String::new())
        };
        its.get_or_build(own, build).await
    });
    begun.notified().await;
    let mut other = Box::pin(text(&cache, &key, "again"));
    // Polled once, it has joined the flight.
    assert!(std::future::poll_fn(|context| std::task::Poll::Ready(other.as_mut().poll(context).is_pending())).await);
    go.notify_one();
    assert!(panics.await.unwrap_err().is_panic());
    let other = other.await.unwrap_err();
    assert!(matches!(&other, Error::Failed(failed) if failed.message.contains("no orders")), "{other}");
}

#[tokio::test]
async fn hooks_that_panic_are_nobodys_error() {
    let cache = with(Settings::new().on_event(|_| panic!("in a hook")).background(|_| panic!("no worker")));
    let (key, old) = (key(), key());
    for moment in ["a build", "a hit"] {
        assert_eq!(text(&cache, &key, "v").await.unwrap(), "v", "{moment}");
    }
    stale(&old).await;
    assert_eq!(text(&cache, &old, "new").await.unwrap(), "old");
    until("the lease is over", || async { !has_lease(&old).await }).await;
}

#[tokio::test]
async fn a_refresh_beyond_the_limit_is_left_to_a_later_caller() {
    let cache = with(Settings::new().background_limit(1));
    let (slow, next) = (key(), key());
    stale(&slow).await;
    stale(&next).await;
    let go = Arc::new(Notify::new());
    let told = go.clone();
    let build = move || async move {
        told.notified().await;
        Ok::<_, String>("new".to_owned())
    };
    assert_eq!(cache.get_or_build(&slow, build).await.unwrap(), "old");
    for _ in 0..20 {
        assert_eq!(text(&cache, &next, "new").await.unwrap(), "old");
        until("it is not queued", || async { !has_lease(&next).await }).await;
    }
    go.notify_one();
    until("another caller refreshes", || async { text(&cache, &next, "new").await.unwrap() == "new" }).await;
}

#[tokio::test]
async fn a_refresh_whose_turn_comes_too_late_builds_nothing() {
    let kept: Arc<Mutex<Vec<Refresh>>> = Arc::default();
    let keeping = kept.clone();
    let settings = Settings::new().background(move |refresh| keeping.lock().unwrap().push(refresh));
    let cache = Corral::with(client(), settings.defaults(Options::new().lease(Duration::from_millis(200))));
    let (key, builds) = (key(), Arc::new(AtomicUsize::new(0)));
    stale(&key).await;
    let counting = builds.clone();
    let build = move || async move { Ok::<_, String>(counting.fetch_add(1, Ordering::Relaxed).to_string()) };
    assert_eq!(cache.get_or_build(&key, build).await.unwrap(), "old");
    until("its lease has run out", || async { !has_lease(&key).await }).await;
    let (state, _, _): (String, String, i64) = ask(&format!("CACHE.GETORLOCK {key} LEASE 60000")).await;
    assert_eq!(state, "REFRESH");
    let refresh = kept.lock().unwrap().pop().unwrap();
    refresh.await;
    assert_eq!(builds.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn options_that_no_server_takes_are_errors_before_it_is_asked() {
    let (cache, key) = (corral(), key());
    let many: Vec<String> = (0..33).map(|tag| tag.to_string()).collect();
    for (wrong, text) in [
        (Options::new().lease(Duration::ZERO), "`lease`"),
        (Options::new().lease(Duration::MAX), "24 h"),
        (Options::new().backoff(Duration::MAX), "`backoff`"),
        (Options::new().version(u64::MAX), "2^53-1"),
        (Options::new().tags([""]), "1 to 255"),
        (Options::new().tags(["x".repeat(256)]), "has 256"),
        (Options::new().tags(many), "not 33"),
    ] {
        let build = || async { Ok::<_, String>("v".to_owned()) };
        let error = cache.get_or_build_with(&key, &wrong, build).await.unwrap_err();
        assert!(matches!(&error, Error::Usage(why) if why.contains(text)), "{error}");
        let error = cache.cached("{day}", wrong, |_: String| async { Ok::<_, String>(String::new()) }).unwrap_err();
        assert!(matches!(&error, Error::Usage(why) if why.contains(text)), "{error}");
    }
    assert!(Target::cluster(Vec::<String>::new()).is_err());
}

/// Encoded into what no memory is spent on, for nobody writes to it.
struct Enormous;

impl corral::Cacheable for Enormous {
    fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        Ok(vec![0; (512 << 20) + 1])
    }

    fn decode(_: &[u8]) -> Result<Self, serde_json::Error> {
        Ok(Enormous)
    }
}

/// For a text so long the server closes the connection, and every next builder's, as if it were gone.
#[tokio::test]
async fn a_value_too_large_for_the_server_is_the_builds_error_and_no_outage() {
    let cache = Corral::with(client(), Settings::new().degrade(Degrade::Raise));
    let key = key();
    let own = cache.get_or_build(&key, || async { Ok::<_, String>(Enormous) }).await.map(|_| ()).unwrap_err();
    assert!(matches!(&own, Error::Usage(why) if why.contains("512 MiB")), "{own}");
    assert!(matches!(text(&cache, &key, "again").await, Err(Error::Failed(_))));
    let long = vec![0; (512 << 20) + 1];
    assert!(matches!(cache.get_or_build(&long, || async { Ok::<_, String>(0) }).await, Err(Error::Usage(_))));
    assert_eq!(text(&cache, &crate::key(), "v").await.unwrap(), "v");
}

#[tokio::test]
async fn the_greatest_of_everything_is_taken() {
    let settings = Settings::new().degrade_limit(usize::MAX).background_limit(usize::MAX).max_waiting(usize::MAX);
    let forever =
        Options::new().ttl(Duration::MAX).swr(Duration::MAX).sie(Duration::MAX).wait(Duration::MAX).jitter(255);
    let cache = Corral::with(
        client(),
        settings.local(usize::MAX).local_ttl(Duration::MAX).defaults(forever.version((1 << 53) - 1)),
    );
    for (key, _) in [(key(), "a build"), ("\0\u{ff}".to_owned() + &key(), "any bytes")] {
        for _ in 0..2 {
            assert_eq!(text(&cache, &key, "v").await.unwrap(), "v");
        }
    }
}

/// The server closes what is idle, and a build lasts longer than its lease.
#[tokio::test]
async fn a_lease_is_kept_though_the_idle_connection_was_closed() {
    let url = format!("{}/7", crate::url().trim_end_matches("/0"));
    let lease = Options::new().ttl(MINUTE).lease(Duration::from_secs(1));
    let cache = Corral::with(redis::Client::open(url).unwrap(), Settings::new().defaults(lease));
    text(&cache, &key(), "v").await.unwrap();
    let clients: String = ask("CLIENT LIST").await;
    let idle: Vec<&str> =
        clients.lines().filter(|of| of.contains(" db=7 ") && of.to_lowercase().contains("cmd=cache.fill")).collect();
    assert!(!idle.is_empty(), "{clients}");
    for line in idle {
        let id = line.split(' ').next().unwrap().trim_start_matches("id=");
        let _: i64 = ask(&format!("CLIENT KILL ID {id}")).await;
    }
    let key = key();
    let build = || async {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        Ok::<_, String>("slow".to_owned())
    };
    assert_eq!(cache.get_or_build(&key, build).await.unwrap(), "slow");
    assert_eq!(text(&cache, &key, "was not stored").await.unwrap(), "slow");
}

/// As with one runtime a thread: nobody runs the first one when the second calls.
#[test]
fn a_call_does_not_need_another_runtime_to_run() {
    let seen: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let hook = seen.clone();
    let cache = with(Settings::new().on_event(move |event| hook.lock().unwrap().push(event.name)));
    let (first, second) = (
        Builder::new_current_thread().enable_all().build().unwrap(),
        Builder::new_current_thread().enable_all().build().unwrap(),
    );
    let key = key();
    assert_eq!(first.block_on(text(&cache, &key, "v")).unwrap(), "v");
    for runtime in [&second, &first, &second] {
        assert_eq!(runtime.block_on(text(&cache, &key, "other")).unwrap(), "v");
    }
    assert_eq!(*seen.lock().unwrap(), ["built", "hit", "hit", "hit"]);
}

#[test]
fn a_runtime_may_end_and_the_next_one_goes_on() {
    let cache = corral();
    let key = key();
    for own in ["first", "second", "third"] {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(text(&cache, &key, own)).unwrap(), "first");
        let other = format!("{key}:{own}");
        assert_eq!(runtime.block_on(text(&cache, &other, own)).unwrap(), own);
    }
}

#[tokio::test]
async fn many_calls_and_many_caches_leave_no_task_and_no_connection() {
    let url = format!("{}/8", crate::url().trim_end_matches("/0"));
    let connections =
        || async { ask::<String>("CLIENT LIST").await.lines().filter(|of| of.contains(" db=8 ")).count() };
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for (caches, calls) in [(1, 10_000), (100, 10)] {
        for _ in 0..caches {
            let cache = Corral::with(redis::Client::open(url.as_str()).unwrap(), Settings::new());
            let key = key();
            for call in 0..calls {
                match call % 5 {
                    0 => cache.invalidate([&key]).await.unwrap(),
                    1 => {
                        let build = || async { Ok::<_, String>("v".to_owned()) };
                        cache.refresh::<String, _, _, _>(&key, &Options::new(), build).await.unwrap();
                    }
                    // Dropped before its answer came.
                    2 => drop(tokio::time::timeout(Duration::from_micros(50), text(&cache, &key, "v")).await),
                    _ => drop(text(&cache, &key, "v").await.unwrap()),
                }
            }
        }
    }
    until("no connection is left", || async { connections().await == 0 }).await;
    until("no task is left", || async { tasks() <= before }).await;
}

#[test]
fn calls_may_be_spawned() {
    fn spawnable<T: Send>(_: T) {}
    fn shared<T: Send + Sync>() {}
    shared::<Corral>();
    shared::<Settings>();
    let cache = corral();
    spawnable(text(&cache, "k", "v"));
    spawnable(cache.invalidate(["k"]));
    spawnable(cache.invalidate_tags(["t"], None));
    spawnable(cache.outdate("k", 1));
    spawnable(cache.check());
}
