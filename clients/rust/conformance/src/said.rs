//! Options and values, as JSON says them.

use std::time::Duration;

use base64::prelude::{Engine, BASE64_STANDARD};
use corral::{Degrade, OnTimeout, Options, Settings};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// What builds return: any JSON, or what the serializer refuses.
#[derive(Clone, Debug)]
pub enum Any {
    Json(Value),
    Unencodable,
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Any::Json(value) => value.serialize(serializer),
            Any::Unencodable => Err(serde::ser::Error::custom("not to be written as JSON")),
        }
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Any::Json)
    }
}

pub fn bytes(given: &Value) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(given.get("$bytes")?.as_str()?).ok()
}

pub fn of_bytes(bytes: &[u8]) -> Value {
    serde_json::json!({ "$bytes": BASE64_STANDARD.encode(bytes) })
}

pub fn seconds(given: &Value) -> Duration {
    Duration::from_secs_f64(given.as_f64().unwrap_or(0.0))
}

pub fn texts(given: &Value) -> Vec<String> {
    given.as_array().map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned).collect()).unwrap_or_default()
}

pub fn options(given: &Value) -> Options {
    let mut made = Options::new();
    for (name, value) in given.as_object().into_iter().flatten() {
        made = match name.as_str() {
            "ttl" => made.ttl(seconds(value)),
            "swr" => made.swr(seconds(value)),
            "sie" => made.sie(seconds(value)),
            "jitter" => made.jitter(value.as_u64().unwrap_or(0) as u8),
            "tags" => made.tags(texts(value)),
            "version" => made.version(value.as_u64().unwrap_or(0)),
            "group" => made.group(value.as_str().unwrap_or_default()),
            "wait" => made.wait(seconds(value)),
            "lease" => made.lease(seconds(value)),
            "backoff" => made.backoff(seconds(value)),
            "on_timeout" => made.on_timeout(if value == "build" { OnTimeout::Build } else { OnTimeout::Raise }),
            _ => made,
        };
    }
    made
}

pub fn settings(given: &Value) -> Settings {
    let mut made = Settings::new().defaults(options(given));
    for (name, value) in given.as_object().into_iter().flatten() {
        let count = value.as_u64().unwrap_or(0) as usize;
        made = match name.as_str() {
            "degrade" => made.degrade(if value == "raise" { Degrade::Raise } else { Degrade::Build }),
            "error_text" => made.error_text(value == true),
            "degrade_limit" => made.degrade_limit(count),
            "max_waiting" => made.max_waiting(count),
            "local" => made.local(count),
            "local_ttl" => made.local_ttl(seconds(value)),
            _ => made,
        };
    }
    made
}
