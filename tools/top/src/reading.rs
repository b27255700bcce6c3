//! What the server said at one moment. Fields that it does not have stay absent: older modules have fewer.

use std::collections::HashMap;

use redis::{FromRedisValue, Value};

#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    fields: HashMap<String, String>,
    /// Longest held first; `None` if this user may not see them.
    pub(crate) leases: Option<Vec<Lease>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) key: Vec<u8>,
    pub(crate) db: u64,
    pub(crate) token: u64,
    pub(crate) age_ms: u64,
    pub(crate) left_ms: u64,
    pub(crate) waiters: u64,
    pub(crate) holder: Option<Holder>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) id: u64,
    pub(crate) name: Vec<u8>,
    pub(crate) address: String,
}

impl Reading {
    /// From the text of INFO, any sections.
    pub(crate) fn new(info: &str, leases: Option<Vec<Lease>>) -> Self {
        let fields = info.lines().filter_map(|line| line.trim_end().split_once(':'));
        Self { fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), leases }
    }

    /// Whether the server has the module.
    pub(crate) fn has_module(&self) -> bool {
        self.fields.keys().any(|name| name.starts_with("corral_"))
    }

    /// A counter of the module, by its name without `corral_`; 0 if it has none such.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.text(&format!("corral_{name}")).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// A time of the module in milliseconds, likewise.
    pub(crate) fn ms(&self, name: &str) -> Option<f64> {
        self.text(&format!("corral_{name}"))?.parse().ok()
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// `Redis 7.0.15`. Valkey gives a Redis version, too, for old clients.
    pub(crate) fn server(&self) -> String {
        match (self.text("valkey_version"), self.text("redis_version")) {
            (Some(version), _) => format!("Valkey {version}"),
            (None, Some(version)) => format!("Redis {version}"),
            (None, None) => "Redis".to_owned(),
        }
    }

    /// A restart begins all counters anew.
    pub(crate) fn is_of_same_run(&self, other: &Self) -> bool {
        self.text("run_id") == other.text("run_id")
    }
}

/// The reply of CACHE.LEASES: a list of maps, or of flat lists from a server that speaks RESP2.
pub(crate) fn leases(reply: &Value) -> Vec<Lease> {
    let Value::Array(lines) = reply else { return Vec::new() };
    lines.iter().map(lease).collect()
}

fn lease(line: &Value) -> Lease {
    let mut lease = Lease::default();
    for (name, value) in pairs(line) {
        match name.as_str() {
            "key" => lease.key = read(value),
            "db" => lease.db = read(value),
            "token" => lease.token = read(value),
            "age-ms" => lease.age_ms = read(value),
            "left-ms" => lease.left_ms = read(value),
            "waiters" => lease.waiters = read(value),
            "holder" => lease.holder = holder(value),
            // A newer module may say more.
            _ => {}
        }
    }
    lease
}

fn holder(value: &Value) -> Option<Holder> {
    if matches!(value, Value::Nil) {
        return None;
    }
    let mut holder = Holder::default();
    for (name, value) in pairs(value) {
        match name.as_str() {
            "id" => holder.id = read(value),
            "name" => holder.name = read(value),
            "addr" => holder.address = read(value),
            _ => {}
        }
    }
    Some(holder)
}

fn pairs(value: &Value) -> Vec<(String, &Value)> {
    match value {
        Value::Map(pairs) => pairs.iter().map(|(name, value)| (read(name), value)).collect(),
        Value::Array(flat) => flat
            .chunks_exact(2)
            .filter_map(|pair| match pair {
                [name, value] => Some((read(name), value)),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// What does not read as expected counts as empty: a view is better with a gap than not at all.
fn read<T: FromRedisValue + Default>(value: &Value) -> T {
    redis::from_redis_value_ref(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_the_server_lacks_are_absent() {
        let reading = Reading::new("# corral\r\ncorral_hits:12\r\ncorral_build_ms_p50:1.250\r\n", None);
        assert!(reading.has_module());
        assert_eq!((reading.count("hits"), reading.count("misses")), (12, 0));
        assert_eq!((reading.ms("build_ms_p50"), reading.ms("build_ms_p99")), (Some(1.25), None));
        assert!(!Reading::new("# Server\r\nredis_version:7.0.15\r\n", None).has_module());
    }

    #[test]
    fn a_lease_reads_the_same_from_a_map_and_from_a_flat_list() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let parts = |holder: Value| {
            vec![
                (text("key"), text("page")),
                (text("db"), Value::Int(3)),
                (text("token"), Value::Int(17)),
                (text("age-ms"), Value::Int(40)),
                (text("left-ms"), Value::Int(60)),
                (text("waiters"), Value::Int(2)),
                (text("holder"), holder),
            ]
        };
        let holder = vec![(text("id"), Value::Int(5)), (text("name"), text("web")), (text("addr"), text("[::1]:1"))];
        let flat = |pairs: Vec<(Value, Value)>| Value::Array(pairs.into_iter().flat_map(|(a, b)| [a, b]).collect());
        let from_maps = leases(&Value::Array(vec![Value::Map(parts(Value::Map(holder.clone())))]));
        let from_lists = leases(&Value::Array(vec![flat(parts(flat(holder)))]));
        assert_eq!(from_maps, from_lists);
        let expected = Lease {
            key: b"page".to_vec(),
            db: 3,
            token: 17,
            age_ms: 40,
            left_ms: 60,
            waiters: 2,
            holder: Some(Holder { id: 5, name: b"web".to_vec(), address: "[::1]:1".to_owned() }),
        };
        assert_eq!(from_maps, [expected]);
        let unknown = leases(&Value::Array(vec![flat(parts(Value::Nil))]));
        assert_eq!(unknown.first().map(|lease| &lease.holder), Some(&None));
    }
}
