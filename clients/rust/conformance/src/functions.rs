//! Functions wrapped by `cached`. In Rust the names of a template are the fields of a struct.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use corral::Cached;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

use crate::said::{self, texts, Any};
use crate::{described, described_build, unsupported, Building, Driver, Opened};

#[derive(Serialize, Deserialize)]
struct Day {
    day: Value,
}

#[derive(Serialize, Deserialize)]
struct DayKind {
    day: Value,
    kind: Value,
}

pub trait Function: Send + Sync {
    fn perform(
        self: Arc<Self>,
        doing: &str,
        args: Vec<Value>,
    ) -> Pin<Box<dyn Future<Output = Result<Value, Value>> + Send>>;
}

struct Wrapped<A, B> {
    cached: Cached<A, B>,
    arguments: fn(Vec<Value>) -> Option<A>,
}

impl<A, B> Function for Wrapped<A, B>
where
    A: Serialize + DeserializeOwned + Send + Sync + 'static,
    B: Fn(A) -> Building + Clone + Send + Sync + 'static,
{
    fn perform(
        self: Arc<Self>,
        doing: &str,
        args: Vec<Value>,
    ) -> Pin<Box<dyn Future<Output = Result<Value, Value>> + Send>> {
        let doing = doing.to_owned();
        Box::pin(async move {
            let arguments = (self.arguments)(args).ok_or_else(|| unsupported("as many arguments"))?;
            match doing.as_str() {
                "key" => self.cached.key(&arguments).map(Value::from).map_err(described),
                "invalidate_call" => self.cached.invalidate(&arguments).await.map(|()| Value::Null).map_err(described),
                "refresh" => told(self.cached.refresh(arguments).await.map_err(described_build)?),
                _ => told(self.cached.call(arguments).await.map_err(described_build)?),
            }
        })
    }
}

fn told(value: Any) -> Result<Value, Value> {
    match value {
        Any::Json(value) => Ok(value),
        Any::Unencodable => Err(json!({"type": "Other", "message": "a value that cannot be told"})),
    }
}

pub fn define(driver: &Arc<Driver>, opened: Opened, request: &Value) -> Result<Arc<dyn Function>, Value> {
    match texts(&request["parameters"]).join(",").as_str() {
        "day" => wrapped(driver, opened, request, |args| Some(Day { day: args.into_iter().next()? })),
        "day,kind" => wrapped(driver, opened, request, |args| {
            let mut args = args.into_iter();
            Some(DayKind { day: args.next()?, kind: args.next()? })
        }),
        other => Err(unsupported(other)),
    }
}

fn wrapped<A>(
    driver: &Arc<Driver>,
    opened: Opened,
    request: &Value,
    arguments: fn(Vec<Value>) -> Option<A>,
) -> Result<Arc<dyn Function>, Value>
where
    A: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let template = request["template"].as_str().unwrap_or_default();
    // The function does not know its key: it makes it as the package does.
    let keys: Arc<OnceLock<Box<dyn Fn(&A) -> String + Send + Sync>>> = Arc::default();
    let (corral, options) = (opened.corral.clone(), said::options(&request["options"]));
    let run = {
        let (driver, keys, script, call) =
            (driver.clone(), keys.clone(), request["build"].clone(), request["id"].clone());
        move |given: A| -> Building {
            let key = keys.get().map(|key| key(&given)).unwrap_or_default();
            driver.clone().run(opened.clone(), key, script.clone(), call.clone())
        }
    };
    let cached = corral.cached(template, options.clone(), run).map_err(described)?;
    let named =
        corral.cached(template, options, |_: A| async { Ok::<Value, String>(Value::Null) }).map_err(described)?;
    let _ = keys.set(Box::new(move |given| named.key(given).unwrap_or_default()));
    Ok(Arc::new(Wrapped { cached, arguments }))
}
