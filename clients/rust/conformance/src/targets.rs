//! Clients, as redis-rs makes them for each topology.

use corral::Target;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisResult};
use serde_json::Value;

use crate::said::texts;

pub fn target(request: &Value) -> RedisResult<Target> {
    let url = request["url"].as_str().unwrap_or_default();
    let protocol = if request["resp"] == 3 { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 };
    let given = url.into_connection_info()?;
    let settings = given.redis_settings().clone().set_protocol(protocol);
    match request["topology"].as_str() {
        Some("cluster") => {
            let nodes = texts(&request["nodes"]);
            let infos =
                nodes.iter().map(|node| given.clone().set_addr(address(node)).set_redis_settings(settings.clone()));
            Target::cluster(infos)
        }
        Some("sentinel") => {
            let sentinels: Vec<ConnectionAddr> =
                texts(&request["sentinels"]).iter().map(|node| address(node)).collect();
            let service = request["service"].as_str().unwrap_or_default().to_owned();
            let client = SentinelClientBuilder::new(sentinels, service, SentinelServerType::Master)?
                .set_client_to_redis_protocol(protocol)
                .build()?;
            Ok(Target::from(client))
        }
        _ => Ok(Target::from(Client::open(given.set_redis_settings(settings))?)),
    }
}

fn address(node: &str) -> ConnectionAddr {
    let (host, port) = node.rsplit_once(':').unwrap_or((node, "6379"));
    ConnectionAddr::Tcp(host.to_owned(), port.parse().unwrap_or(6379))
}
