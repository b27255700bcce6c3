//! Runs `get_or_build` through every state against a server with Corral. Arguments: redis-rs|redis-rs-events PORT

mod corral;
mod events;
mod parked;

use std::fmt::Debug;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{cmd, Client, FromRedisValue};

use corral::{Answer, Corral, Failure, Times, Transport};
use events::Events;
use parked::Parked;

/// What a check needs: the server, the key, and a way to make the client that is checked.
struct Check<M> {
    raw: MultiplexedConnection,
    key: String,
    make: M,
}

/// What is expensive: counts its builds, and fails when told to.
#[derive(Clone)]
struct Source {
    builds: Arc<AtomicUsize>,
    takes: Duration,
    result: Result<&'static str, &'static str>,
    deletes: Option<(MultiplexedConnection, String)>,
}

impl Source {
    fn new(takes: u64, result: Result<&'static str, &'static str>) -> Self {
        Source { builds: Arc::default(), takes: Duration::from_millis(takes), result, deletes: None }
    }

    async fn build(self) -> Result<String, Failure> {
        self.builds.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.takes).await;
        if let Some((mut connection, key)) = self.deletes {
            cmd("DEL").arg(key).exec_async(&mut connection).await?;
        }
        Ok(self.result.map(str::to_owned)?)
    }

    fn builds(&self) -> usize {
        self.builds.load(Ordering::SeqCst)
    }
}

type Checked = Result<(), Failure>;

fn same<T: PartialEq + Debug>(got: T, wanted: T) -> Checked {
    if got == wanted {
        Ok(())
    } else {
        Err(format!("got {got:?}, wanted {wanted:?}").into())
    }
}

fn all(n: usize, value: &str) -> Vec<String> {
    vec![value.to_owned(); n]
}

impl<M, F, T> Check<M>
where
    M: Fn(Duration) -> F,
    F: Future<Output = T>,
    T: Transport,
{
    async fn herd(&self, callers: usize, source: &Source, block: u64, times: Times) -> Vec<String> {
        let corral = Corral { transport: (self.make)(Duration::from_millis(block)).await, times };
        let calls: Vec<_> = (0..callers)
            .map(|_| {
                let (corral, key, source) = (corral.clone(), self.key.clone(), source.clone());
                tokio::spawn(async move { corral.get_or_build(&key, || source.build()).await })
            })
            .collect();
        let mut got = Vec::new();
        for call in calls {
            got.push(call.await.map_err(Failure::from).and_then(|it| it).unwrap_or_else(|error| error.to_string()));
        }
        got
    }

    async fn usual(&self, callers: usize, source: &Source) -> Vec<String> {
        self.herd(callers, source, 2_000, Times::default()).await
    }

    async fn raw<R: FromRedisValue>(&self, command: &str, arguments: &str) -> Result<R, Failure> {
        let mut sent = cmd(command);
        sent.arg(&self.key);
        arguments.split_whitespace().for_each(|each| {
            sent.arg(each);
        });
        Ok(sent.query_async(&mut self.raw.clone()).await?)
    }

    async fn state(&self) -> Result<String, Failure> {
        let (state, value, _) = self.raw::<Answer>("CACHE.GET", "").await?;
        Ok(format!("{state} {}", value.unwrap_or_default()))
    }

    async fn becomes(&self, wanted: &str) -> Checked {
        for _ in 0..500 {
            if self.state().await? == wanted {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        same(self.state().await?.as_str(), wanted)
    }

    async fn lock(&self, lease: u64) -> Result<i64, Failure> {
        Ok(self.raw::<Answer>("CACHE.GETORLOCK", &format!("LEASE {lease}")).await?.2)
    }

    async fn run(&self, name: &str) -> Checked {
        let millis = Duration::from_millis;
        let quick = Source::new(200, Ok("v"));
        match name {
            "a_herd_builds_once" => {
                same(self.usual(100, &quick).await, all(100, "v"))?;
                same(quick.builds(), 1)
            }
            "a_fill_elsewhere_wakes_all" => {
                // Who hears of it late finds the value gone, and builds.
                let token = self.lock(60_000).await?;
                let mut fill = cmd("CACHE.FILL");
                fill.arg(&self.key).arg(token).arg("v").arg("PX").arg(2_000);
                let mut raw = self.raw.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(millis(300)).await;
                    fill.exec_async(&mut raw).await
                });
                let patient = Times { patience: millis(4_000), ..Times::default() };
                same(self.herd(20, &quick, 2_000, patient).await, all(20, "v"))?;
                same(quick.builds(), 0)
            }
            "a_stale_value_is_served_while_one_refreshes" => {
                self.raw::<()>("CACHE.SET", "old PX 1 SWR 60000").await?;
                self.becomes("STALE old").await?;
                let slow = Source::new(1_000, Ok("new"));
                same(self.usual(20, &slow).await, all(20, "old"))?;
                self.becomes("HIT new").await?;
                same(slow.builds(), 1)
            }
            "a_failure_reaches_all_and_leaves_no_lease" => {
                let failing = Source::new(200, Err("source is down"));
                let times = Times { backoff: millis(1_500), ..Times::default() };
                same(self.herd(20, &failing, 2_000, times).await, all(20, "source is down"))?;
                same(failing.builds(), 1)?;
                same(self.state().await?.as_str(), "FAIL source is down")?;
                self.becomes("MISS ").await?;
                same(self.usual(1, &quick).await, all(1, "v"))
            }
            "a_failure_serves_the_old_value_where_there_is_one" => {
                self.raw::<()>("CACHE.SET", "old PX 1 SIE 60000").await?;
                self.becomes("STALE old").await?;
                let failing = Source::new(200, Err("source is down"));
                same(self.usual(20, &failing).await, all(20, "old"))
            }
            "what_must_not_be_shared_is_built_by_each" => {
                let token = self.lock(10_000).await?;
                self.raw::<()>("CACHE.PASS", &token.to_string()).await?;
                same(self.usual(10, &quick).await, all(10, "v"))?;
                same(quick.builds(), 10)?;
                same(self.state().await?.as_str(), "PASS ")
            }
            "a_long_build_keeps_its_lease" => {
                let slow = Source::new(6_500, Ok("v"));
                let times = Times { lease: millis(3_000), ..Times::default() };
                same(self.herd(20, &slow, 2_000, times).await, all(20, "v"))?;
                same(slow.builds(), 1)
            }
            "a_short_block_is_asked_again" => {
                let slow = Source::new(500, Ok("v"));
                same(self.herd(20, &slow, 50, Times::default()).await, all(20, "v"))?;
                same(slow.builds(), 1)
            }
            "patience_ends_in_a_build_that_is_not_stored" => {
                let token = self.lock(60_000).await?;
                let times = Times { patience: millis(300), ..Times::default() };
                same(self.herd(1, &Source::new(200, Ok("own")), 50, times).await, all(1, "own"))?;
                same(self.state().await?.as_str(), "MISS ")?;
                same(self.raw::<String>("CACHE.FILL", &format!("{token} v")).await?.as_str(), "OK")
            }
            "a_void_fill_is_normal" => {
                let deleting = Source { deletes: Some((self.raw.clone(), self.key.clone())), ..quick };
                same(self.usual(1, &deleting).await, all(1, "v"))?;
                same(self.state().await?.as_str(), "MISS ")
            }
            "a_dead_holder_is_succeeded" => {
                self.lock(300).await?;
                same(self.usual(20, &quick).await, all(20, "v"))?;
                same(quick.builds(), 1)
            }
            unknown => Err(format!("no such check: {unknown}").into()),
        }
    }

    async fn run_all(mut self, client: &str) -> bool {
        let names = [
            "a_herd_builds_once",
            "a_fill_elsewhere_wakes_all",
            "a_stale_value_is_served_while_one_refreshes",
            "a_failure_reaches_all_and_leaves_no_lease",
            "a_failure_serves_the_old_value_where_there_is_one",
            "what_must_not_be_shared_is_built_by_each",
            "a_long_build_keeps_its_lease",
            "a_short_block_is_asked_again",
            "patience_ends_in_a_build_that_is_not_stored",
            "a_void_fill_is_normal",
            "a_dead_holder_is_succeeded",
        ];
        let mut passed = 0;
        for name in names {
            self.key = format!("example:{client}:{name}");
            let _before = self.raw::<()>("DEL", "").await;
            match self.run(name).await {
                Ok(()) => {
                    passed += 1;
                    println!("ok     {name}");
                }
                Err(error) => println!("FAILED {name} - {error}"),
            }
            let _after = self.raw::<()>("DEL", "").await;
        }
        let version =
            include_str!("../Cargo.toml").split("redis = { version = \"=").nth(1).and_then(|it| it.split('"').next());
        println!("{client} {}: {passed} of {}", version.unwrap_or("?"), names.len());
        passed == names.len()
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, name, port] = arguments.as_slice() else { return Err("arguments: redis-rs|redis-rs-events PORT".into()) };
    let client = Client::open(format!("redis://127.0.0.1:{port}/?protocol=resp3"))?;
    let raw = client.get_multiplexed_async_connection().await?;
    let key = String::new();
    let all_passed = match name.as_str() {
        "redis-rs" => {
            let make = |block| async move { Parked::connect(client_of(port), block, 200).await.expect("connects") };
            Check { raw, key, make }.run_all(name).await
        }
        "redis-rs-events" => {
            let make = |_| async move { Events::connect(&client_of(port)).await.expect("connects") };
            Check { raw, key, make }.run_all(name).await
        }
        unknown => return Err(format!("no such client: {unknown}").into()),
    };
    std::process::exit(if all_passed { 0 } else { 1 });
}

fn client_of(port: &str) -> Client {
    Client::open(format!("redis://127.0.0.1:{port}/?protocol=resp3")).expect("the same address worked before")
}
