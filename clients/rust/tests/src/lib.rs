//! The package over a real server, as its users have it: REDIS_URL names a server that has the module.

#![cfg(test)]

mod hostile;
mod outages;

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use corral::{Corral, Error, Options, Settings};
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::{FutureExt, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::Context;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use redis::{Cmd, FromRedisValue, Value};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

fn url() -> String {
    std::env::var("REDIS_URL").unwrap_or("redis://127.0.0.1:6379".to_owned())
}

fn client() -> redis::Client {
    redis::Client::open(url()).unwrap()
}

fn corral() -> Corral {
    Corral::with(client(), Settings::new().defaults(Options::new().ttl(Duration::from_secs(60))))
}

fn key() -> String {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    format!("rust:{}:{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed))
}

async fn ask<T: FromRedisValue>(command: &str) -> T {
    let mut connection = client().get_multiplexed_async_connection().await.unwrap();
    let mut words = command.split(' ');
    let mut asked = Cmd::new();
    words.by_ref().for_each(|word| {
        asked.arg(word);
    });
    asked.query_async(&mut connection).await.unwrap()
}

async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("{what}: not within 30 s"));
}

/// What CACHE.INFO says of the key; nothing if there is no such key.
async fn info(key: &str) -> HashMap<String, Value> {
    ask::<Option<HashMap<String, Value>>>(&format!("CACHE.INFO {key}")).await.unwrap_or_default()
}

async fn has_lease(key: &str) -> bool {
    let leases: Vec<HashMap<String, Value>> = ask("CACHE.LEASES COUNT 1000").await;
    leases.iter().any(|lease| matches!(&lease["key"], Value::BulkString(name) if name == key.as_bytes()))
}

async fn waiters(key: &str) -> i64 {
    match info(key).await.get("waiters") {
        Some(Value::Int(waiters)) => *waiters,
        _ => 0,
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Report {
    day: String,
    orders: Vec<u32>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Day {
    day: String,
    shop: u32,
}

#[tokio::test]
async fn a_struct_comes_back_as_it_was_built() {
    let (cache, key) = (corral(), key());
    let monday = Report { day: "monday".to_owned(), orders: vec![1, 2] };
    let made = monday.clone();
    let built: Report = cache.get_or_build(&key, move || async { Ok::<_, String>(made) }).await.unwrap();
    let read: Report = cache.get_or_build(&key, || async { Err("not called".to_owned()) }).await.unwrap();
    assert_eq!((built, read), (monday.clone(), monday));
}

#[tokio::test]
async fn the_builder_is_given_what_everybody_else_decodes() {
    #[derive(Serialize, Deserialize)]
    struct Partly {
        #[serde(skip)]
        kept_back: u32,
    }
    let (corral, key) = (corral(), key());
    for _ in ["from its build", "from the server"] {
        let value = corral.get_or_build(&key, || async { Ok::<_, String>(Partly { kept_back: 7 }) }).await.unwrap();
        assert_eq!(value.kept_back, 0);
    }
}

#[tokio::test]
async fn a_function_of_a_struct_has_a_key_of_its_fields() {
    let (cache, key, builds) = (corral(), key(), Arc::new(AtomicUsize::new(0)));
    let counting = builds.clone();
    let report = cache
        .cached(&format!("{key}:{{day}}:{{shop}}"), Options::new(), move |_: Day| {
            let counting = counting.clone();
            async move { Ok::<_, String>(counting.fetch_add(1, Ordering::Relaxed) + 1) }
        })
        .unwrap();
    let monday = Day { day: "mon:day".to_owned(), shop: 7 };
    assert_eq!(report.key(&monday).unwrap(), format!("{key}:mon%3Aday:7"));
    assert_eq!(report.call(monday.clone()).await.unwrap(), 1);
    assert_eq!(report.call(monday.clone()).await.unwrap(), 1);
    assert_eq!(report.refresh(monday.clone()).await.unwrap(), 2);
    report.invalidate(&monday).await.unwrap();
    assert_eq!(report.call(monday).await.unwrap(), 3);
}

#[tokio::test]
async fn a_functions_tags_are_made_of_its_argument_as_it_is() {
    let key = key();
    let defaults = Options::new().ttl(Duration::from_secs(60)).tags([format!("{key}{{all}}")]);
    let cache = Corral::with(client(), Settings::new().defaults(defaults));
    let state = |of: String| async move { ask::<Vec<Value>>(&format!("CACHE.GET {of}")).await.swap_remove(0) };
    let is = |word: &str| Value::BulkString(word.into());
    let drop_tag = |tag: &str| {
        let (cache, tag) = (cache.clone(), format!("{key}{tag}"));
        async move { cache.invalidate_tags([tag], Some(Duration::ZERO)).await.unwrap() }
    };
    let echo = |day: Day| async move { Ok::<_, String>(day.shop) };
    let options = Options::new().tags([format!("{key}day:{{day}}"), format!("{key}days")]);
    let report = cache.cached(&format!("{key}:{{day}}:{{shop}}"), options, echo).unwrap();
    let (monday, tuesday) = (Day { day: "mon:day".to_owned(), shop: 7 }, Day { day: "tue:day".to_owned(), shop: 8 });
    assert_eq!((report.call(monday.clone()).await.unwrap(), report.call(tuesday.clone()).await.unwrap()), (7, 8));
    drop_tag("day:mon:day").await;
    assert_eq!(state(report.key(&monday).unwrap()).await, is("MISS"));
    assert_eq!(state(report.key(&tuesday).unwrap()).await, is("HIT"));
    assert_eq!(report.refresh(tuesday.clone()).await.unwrap(), 8);
    drop_tag("days").await;
    assert_eq!(state(report.key(&tuesday).unwrap()).await, is("MISS"));

    // Those of all calls are nobody's template.
    let plain = cache.cached(&format!("{key}/{{day}}/{{shop}}"), Options::new(), echo).unwrap();
    plain.call(monday.clone()).await.unwrap();
    drop_tag("{all}").await;
    assert_eq!(state(plain.key(&monday).unwrap()).await, is("MISS"));
}

#[tokio::test]
async fn a_dropped_builder_releases_its_lease_and_the_next_caller_builds() {
    let (cache, key) = (corral(), key());
    let begun = Arc::new(Notify::new());
    let first = {
        let (cache, key, begun) = (cache.clone(), key.clone(), begun.clone());
        tokio::spawn(async move {
            let build = move || async move {
                begun.notify_one();
                std::future::pending::<Result<String, String>>().await
            };
            cache.get_or_build(key, build).await
        })
    };
    begun.notified().await;
    assert!(has_lease(&key).await);
    first.abort();
    let second: String = cache.get_or_build(&key, || async { Ok::<_, String>("second".to_owned()) }).await.unwrap();
    assert_eq!(second, "second");
}

#[tokio::test]
async fn a_dropped_waiter_leaves_the_room() {
    let (cache, key) = (corral(), key());
    let (_, _, token): (String, Value, i64) = ask(&format!("CACHE.GETORLOCK {key} LEASE 60000")).await;
    let waiting = {
        let (cache, key) = (cache.clone(), key.clone());
        tokio::spawn(async move { cache.get_or_build(key, || async { Ok::<_, String>("own".to_owned()) }).await })
    };
    until("one waits", || async { waiters(&key).await == 1 }).await;
    waiting.abort();
    until("nobody waits", || async { waiters(&key).await == 0 }).await;
    assert_eq!(ask::<i64>(&format!("CACHE.RELEASE {key} {token}")).await, 1);
    assert!(!has_lease(&key).await);
}

/// The lease may have been granted on its way to a caller who has left.
#[tokio::test]
async fn a_grant_for_a_caller_that_was_dropped_is_released() {
    let cache = corral();
    let _: String = cache.get_or_build(key(), || async { Ok::<_, String>(String::new()) }).await.unwrap();
    for _ in 0..50 {
        let key = key();
        let asking = cache.get_or_build(&key, || std::future::pending::<Result<String, String>>());
        tokio::select! {
            biased;
            _ = asking => panic!("its build never ends"),
            () = tokio::task::yield_now() => {}
        }
        until("there is no lease", || async { !has_lease(&key).await }).await;
    }
}

#[tokio::test]
async fn a_panicking_build_is_a_failed_one() {
    let (cache, key) = (corral(), key());
    let panicking = {
        let (cache, key) = (cache.clone(), key.clone());
        tokio::spawn(async move {
            cache
                .get_or_build(key, || async {
                    if true {
                        panic!("no orders")
                    } else {
                        Ok::<String, String>(String::new())
                    }
                })
                .await
        })
    };
    assert!(panicking.await.unwrap_err().is_panic());
    until("the lease is over", || async { !has_lease(&key).await }).await;
    let other = cache.get_or_build(&key, || async { Ok::<_, String>(String::new()) }).await.unwrap_err();
    assert!(matches!(&other, Error::Failed(failed) if failed.message == "the build panicked: no orders"), "{other}");
}

/// redis-rs' own time-out, unless it is changed, is half a second, and ends every other call on the connection too.
#[tokio::test]
async fn a_client_that_gives_up_after_half_a_second_waits_for_three() {
    let key = key();
    let (_, _, token): (String, Value, i64) = ask(&format!("CACHE.GETORLOCK {key} LEASE 60000")).await;
    let seen: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let hook = seen.clone();
    let settings = Settings::new().on_event(move |event| hook.lock().unwrap().push(event.name));
    let cache = Corral::with(client(), settings);
    let waiting = {
        let (cache, key) = (cache.clone(), key.clone());
        tokio::spawn(async move { cache.get_or_build(key, || async { Ok::<_, String>("own".to_owned()) }).await })
    };
    until("one waits", || async { waiters(&key).await == 1 }).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!waiting.is_finished());
    let filled: String = ask(&format!("CACHE.FILL {key} {token} \"theirs\"")).await;
    assert_eq!((filled.as_str(), waiting.await.unwrap().unwrap().as_str()), ("OK", "theirs"));
    let seen = seen.lock().unwrap();
    assert!(seen.contains(&"waited") && !seen.contains(&"degraded"), "{seen:?}");
}

#[test]
fn a_lease_does_not_outlive_its_runtime() {
    let key = key();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let begun = Arc::new(Notify::new());
    let telling = begun.clone();
    let held = key.clone();
    runtime.spawn(async move {
        let build = move || async move {
            telling.notify_one();
            std::future::pending::<Result<String, String>>().await
        };
        corral().get_or_build(held, build).await
    });
    runtime.block_on(begun.notified());
    runtime.shutdown_background();
    let after = tokio::runtime::Runtime::new().unwrap();
    after.block_on(until("the lease is over", || async { !has_lease(&key).await }));
}

#[tokio::test]
async fn an_old_value_is_served_while_one_task_builds_behind_it() {
    let key = key();
    let minute = Duration::from_secs(60);
    let cache = Corral::with(client(), Settings::new().defaults(Options::new().ttl(minute).swr(minute)));
    let build = |value: &str| {
        let value = value.to_owned();
        move || async { Ok::<_, String>(value) }
    };
    assert_eq!(cache.get_or_build::<String, _, _, _>(&key, build("old")).await.unwrap(), "old");
    cache.invalidate([&key]).await.unwrap();
    assert_eq!(cache.get_or_build::<String, _, _, _>(&key, build("new")).await.unwrap(), "old");
    until("the new value is there", || async {
        cache.get_or_build::<String, _, _, _>(&key, build("third")).await.unwrap() == "new"
    })
    .await;
}

#[tokio::test]
async fn what_is_fresh_for_ever_may_be_said_to_have_windows() {
    let (key, minute) = (key(), Duration::from_secs(60));
    let cache = Corral::with(client(), Settings::new().defaults(Options::new().swr(minute).sie(minute).jitter(10)));
    for _ in 0..2 {
        assert_eq!(cache.get_or_build(&key, || async { Ok::<_, String>(7) }).await.unwrap(), 7);
    }
    let (state, _, fresh): (String, Value, i64) = ask(&format!("CACHE.GET {key}")).await;
    assert_eq!((state.as_str(), fresh), ("HIT", -1));
}

#[tokio::test]
async fn a_herd_of_a_thousand_tasks_builds_once() {
    let (cache, key, builds) = (corral(), key(), Arc::new(AtomicUsize::new(0)));
    let herd: Vec<_> = (0..1_000)
        .map(|_| {
            let (cache, key, builds) = (cache.clone(), key.clone(), builds.clone());
            tokio::spawn(async move {
                let build = move || async move {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Ok::<_, String>(builds.fetch_add(1, Ordering::Relaxed))
                };
                cache.get_or_build(key, build).await
            })
        })
        .collect();
    for one in herd {
        assert_eq!(one.await.unwrap().unwrap(), 0);
    }
    assert_eq!(builds.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn opentelemetry_hears_of_a_build_a_hit_and_a_failure_under_the_callers_span() {
    let (spans, metrics) = (InMemorySpanExporter::default(), InMemoryMetricExporter::default());
    let tracing = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
    let metering = SdkMeterProvider::builder().with_reader(PeriodicReader::builder(metrics.clone()).build()).build();
    let hook = corral::telemetry(tracing.tracer("test"), &metering.meter("test"));
    let cache = Corral::with(client(), Settings::new().on_event(hook));
    let (built, failing) = (key(), key());

    let request = Context::current_with_span(tracing.tracer("test").start("request"));
    let calls = async {
        for _ in 0..2 {
            cache.get_or_build(&built, || async { Ok::<_, String>(1) }).await.unwrap();
        }
        cache.get_or_build(&failing, || async { Err::<i32, _>("no database".to_owned()) }).await.unwrap_err();
    };
    calls.with_context(request.clone()).await;
    let caller = request.span().span_context().span_id();
    metering.force_flush().unwrap();

    let spans = spans.get_finished_spans().unwrap();
    let told: Vec<_> =
        spans.iter().map(|span| (&*span.name, span.parent_span_id == caller, span.status.clone())).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], ("corral build", true, Status::Unset));
    assert!(
        matches!(&told[1], ("corral build", true, Status::Error { description }) if description.contains("no database")),
        "{told:?}"
    );

    let mut events = HashMap::new();
    for resource in metrics.get_finished_metrics().unwrap() {
        for metric in resource.scope_metrics().flat_map(|scope| scope.metrics()) {
            if let ("corral.events", AggregatedMetrics::U64(MetricData::Sum(sum))) = (metric.name(), metric.data()) {
                for point in sum.data_points() {
                    let name = point.attributes().next().unwrap().value.to_string();
                    events.insert(name, point.value());
                }
            }
        }
    }
    let wanted = [("built", 1), ("failed", 1), ("hit", 1)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(events, HashMap::from(wanted));
}
