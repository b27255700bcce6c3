//! A hit through the package beside the bare client's GETORLOCK and beside its GET, in turns, so that what else the machine
//! does hits all of them.
//! usage: figures URL [CALLS]

use std::time::{Duration, Instant};

use corral::{Corral, Options, Settings};
use redis::{cmd, Value};

const ROUNDS: usize = 9;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let calls: u32 = arguments.get(2).map_or(2_000, |calls| calls.parse().expect("a number of calls"));
    let client = redis::Client::open(arguments[1].as_str()).unwrap();
    let cache = Corral::with(client.clone(), Settings::new().defaults(Options::new().ttl(Duration::from_secs(600))));
    let near = Corral::with(client.clone(), Settings::new().local(100).local_ttl(Duration::from_secs(600)));
    let mut bare = client.get_multiplexed_async_connection().await.unwrap();
    let build = || async { Ok::<_, String>("value".to_owned()) };
    let _: String = cache.get_or_build("figures", build).await.unwrap();
    let _: String = near.get_or_build("figures", build).await.unwrap();
    let _: Value = cmd("SET").arg("figures:plain").arg("\"value\"").query_async(&mut bare).await.unwrap();
    let (mut package, mut client, mut get, mut local) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..calls {
            let _: String = cache.get_or_build("figures", build).await.unwrap();
        }
        package.push(began.elapsed() / calls);
        let began = Instant::now();
        for _ in 0..calls {
            let _: Value =
                cmd("CACHE.GETORLOCK").arg("figures").arg("LEASE").arg(10_000).query_async(&mut bare).await.unwrap();
        }
        client.push(began.elapsed() / calls);
        let began = Instant::now();
        for _ in 0..calls {
            let _: Value = cmd("GET").arg("figures:plain").query_async(&mut bare).await.unwrap();
        }
        get.push(began.elapsed() / calls);
        let began = Instant::now();
        for _ in 0..calls {
            let _: String = near.get_or_build("figures", build).await.unwrap();
        }
        local.push(began.elapsed() / calls);
    }
    let to_client = middle_ratio(&package, &client);
    let to_get = middle_ratio(&package, &get);
    let middle = |times: &mut Vec<Duration>| {
        times.sort();
        times[ROUNDS / 2]
    };
    println!(
        "redis-rs, hit: package {:.1?}, bare GETORLOCK {:.1?}, ratio {to_client:.2}; GET {:.1?}, ratio {to_get:.2}; near cache {:.2?}",
        middle(&mut package),
        middle(&mut client),
        middle(&mut get),
        middle(&mut local)
    );
}

fn middle_ratio(ours: &[Duration], theirs: &[Duration]) -> f64 {
    let mut ratios: Vec<f64> = ours.iter().zip(theirs).map(|(p, c)| p.as_secs_f64() / c.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ROUNDS / 2]
}
