//! Where connections go, and how they are made: with the settings of what was given (address, credentials, TLS,
//! protocol), but with time-outs above the longest park instead of redis-rs' half second, and without retries.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult};

/// How long a call is parked before it asks again.
pub(crate) const SLICE: Duration = Duration::from_secs(2);
/// Above [`SLICE`], and what a server that hangs costs.
pub(crate) const READ_LIMIT: Duration = Duration::from_secs(4);

/// A node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub host: String,
    pub port: u16,
}

/// What a [`Corral`](crate::Corral) is made over.
#[non_exhaustive]
pub enum Target {
    /// One server.
    Server(Client),
    /// A cluster, of which some nodes are named.
    Cluster(Vec<ConnectionInfo>),
    /// The master that Sentinels name.
    #[cfg(feature = "sentinel")]
    Sentinel(Box<tokio::sync::Mutex<redis::sentinel::SentinelClient>>),
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl From<Client> for Target {
    fn from(client: Client) -> Self {
        Target::Server(client)
    }
}

#[cfg(feature = "sentinel")]
impl From<redis::sentinel::SentinelClient> for Target {
    fn from(client: redis::sentinel::SentinelClient) -> Self {
        Target::Sentinel(Box::new(tokio::sync::Mutex::new(client)))
    }
}

impl Target {
    /// A cluster's nodes, as `redis::cluster::ClusterClient` takes them: it does not tell its own again.
    pub fn cluster<I: IntoConnectionInfo>(nodes: impl IntoIterator<Item = I>) -> RedisResult<Self> {
        let nodes: Vec<_> =
            nodes.into_iter().map(IntoConnectionInfo::into_connection_info).collect::<RedisResult<_>>()?;
        if nodes.is_empty() {
            return Err((redis::ErrorKind::InvalidClientConfig, "no node of the cluster was named").into());
        }
        Ok(Target::Cluster(nodes))
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Target::Cluster(_))
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Target::Server(client) => client.get_connection_info().addr().to_string(),
            Target::Cluster(_) => "the cluster".to_owned(),
            #[cfg(feature = "sentinel")]
            Target::Sentinel(_) => "the master that the Sentinels name".to_owned(),
        }
    }

    pub(crate) fn seeds(&self) -> Vec<Address> {
        let Target::Cluster(infos) = self else { return Vec::new() };
        infos.iter().filter_map(|info| address_of(info.addr())).collect()
    }

    pub(crate) async fn connect(&self, node: Option<&Address>) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(READ_LIMIT))
            .set_connection_timeout(Some(READ_LIMIT));
        match self {
            Target::Server(client) => client.get_multiplexed_async_connection_with_config(&config).await,
            Target::Cluster(infos) => {
                let (Some(info), Some(node)) = (infos.first(), node) else {
                    return Err((redis::ErrorKind::InvalidClientConfig, "no node of the cluster was named").into());
                };
                let info = info.clone().set_addr(at(info.addr(), node));
                Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await
            }
            #[cfg(feature = "sentinel")]
            Target::Sentinel(sentinels) => {
                let asking = async { sentinels.lock().await.async_get_client().await };
                let client = tokio::time::timeout(READ_LIMIT, asking)
                    .await
                    .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
                client.get_multiplexed_async_connection_with_config(&config).await
            }
        }
    }
}

fn address_of(addr: &ConnectionAddr) -> Option<Address> {
    match addr {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Some(Address { host: host.clone(), port: *port })
        }
        _ => None,
    }
}

/// With the seed's TLS.
fn at(seed: &ConnectionAddr, node: &Address) -> ConnectionAddr {
    match seed.clone() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host: node.host.clone(), port: node.port, insecure, tls_params }
        }
        _ => ConnectionAddr::Tcp(node.host.clone(), node.port),
    }
}

/// The slot of a key in a cluster: CRC16 of the part between braces, or of the whole.
pub(crate) fn slot_of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|&byte| byte == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|&byte| byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    });
    let crc = tag.unwrap_or(key).iter().fold(0u16, |crc, &byte| {
        (0..8)
            .fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 })
    });
    crc % 16_384
}

#[cfg(test)]
mod tests {
    use super::slot_of;

    #[test]
    fn a_keys_slot_is_what_the_cluster_says() {
        assert_eq!(slot_of(b"foo"), 12_182);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
        assert_eq!(slot_of(b"123456789"), 12_739);
        assert_ne!(slot_of(b"foo{}{bar}"), slot_of(b"bar"));
    }
}
