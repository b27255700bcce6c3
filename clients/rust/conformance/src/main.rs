//! The driver of clients/conformance, whose README says what it is asked.

mod functions;
mod said;
mod targets;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use corral::{Bytes, Corral, Error};
use functions::Function;
use said::{texts, Any};
use serde_json::{json, Value};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;
use tokio::task::AbortHandle;

const HAS: [&str; 11] = [
    "cluster",
    "sentinel",
    "resp3",
    "concurrent",
    "cancel",
    "renew",
    "background",
    "local",
    "unencodable",
    "closures",
    "error_text",
];

/// The driver's own error, or that of a nested call, as it was answered.
#[derive(Debug)]
pub enum BuildError {
    Raised(String),
    Nested(Value),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Raised(text) => f.write_str(text),
            BuildError::Nested(error) => f.write_str(error["message"].as_str().unwrap_or_default()),
        }
    }
}

pub type Building = Pin<Box<dyn Future<Output = Result<Any, BuildError>> + Send>>;

#[derive(Clone)]
pub struct Opened {
    corral: Corral,
    seen: Arc<Mutex<Vec<&'static str>>>,
    bytes: bool,
}

#[derive(Default)]
pub struct Driver {
    opened: Mutex<HashMap<String, Opened>>,
    functions: Mutex<HashMap<String, Arc<dyn Function>>>,
    gates: Mutex<HashMap<String, watch::Sender<bool>>>,
    running: Mutex<HashMap<String, AbortHandle>>,
}

fn say(line: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush()); // nobody listens any more: the run is over
}

impl Driver {
    async fn perform(self: &Arc<Self>, request: &Value) -> Result<Value, Value> {
        let name = request["corral"].as_str().unwrap_or("c").to_owned();
        let opened = self.opened.lock().unwrap().get(&name).cloned();
        let corral = || opened.as_ref().map(|opened| &opened.corral).ok_or_else(|| unsupported("no such corral"));
        match request["do"].as_str().unwrap_or_default() {
            "hello" => Ok(json!({"language": "rust", "library": "redis-rs 1.8.1", "has": HAS})),
            "open" => {
                let target =
                    targets::target(request).map_err(|error| json!({"type": "Usage", "message": error.to_string()}))?;
                let seen: Arc<Mutex<Vec<&'static str>>> = Arc::default();
                let hook = seen.clone();
                let settings =
                    said::settings(&request["options"]).on_event(move |event| hook.lock().unwrap().push(event.name));
                let bytes = request["options"]["serializer"] == "bytes";
                let made = Opened { corral: Corral::with(target, settings), seen, bytes };
                self.opened.lock().unwrap().insert(name, made);
                Ok(Value::Null)
            }
            "close" => {
                self.opened.lock().unwrap().remove(&name);
                Ok(Value::Null)
            }
            "get_or_build" => {
                let opened = opened.ok_or_else(|| unsupported("no such corral"))?;
                let mut value = self.clone().get(opened, request.clone(), request["id"].clone()).await?;
                if request["mutate"] == true {
                    value.as_array_mut().unwrap().push("mutated".into());
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                Ok(value)
            }
            "define" => {
                let opened = opened.ok_or_else(|| unsupported("no such corral"))?;
                let made = functions::define(self, opened, request)?;
                self.functions.lock().unwrap().insert(request["function"].to_string(), made);
                Ok(Value::Null)
            }
            doing @ ("call" | "refresh" | "key" | "invalidate_call") => {
                let function = self.functions.lock().unwrap().get(&request["function"].to_string()).cloned();
                let function = function.ok_or_else(|| unsupported("no such function"))?;
                function.perform(doing, request["args"].as_array().cloned().unwrap_or_default()).await
            }
            "invalidate" => done(corral()?.invalidate(texts(&request["keys"])).await),
            "invalidate_tags" => {
                let swr = request.get("swr").map(said::seconds);
                done(corral()?.invalidate_tags(texts(&request["tags"]), swr).await)
            }
            "outdate" => {
                let key = request["key"].as_str().unwrap_or_default();
                done(corral()?.outdate(key, request["version"].as_u64().unwrap_or(0)).await)
            }
            "check" => {
                let features = corral()?.check().await.map_err(described)?;
                Ok(json!({"version": features.version, "missing": features.missing}))
            }
            "cancel" => {
                if let Some(call) = self.running.lock().unwrap().get(&request["call"].to_string()) {
                    call.abort();
                }
                Ok(Value::Null)
            }
            "gate" => {
                self.gate(request["gate"].as_str().unwrap_or_default()).send_replace(true);
                Ok(Value::Null)
            }
            "events" => Ok(json!(*opened.ok_or_else(|| unsupported("no such corral"))?.seen.lock().unwrap())),
            other => Err(unsupported(other)),
        }
    }

    fn get(
        self: Arc<Self>,
        opened: Opened,
        request: Value,
        call: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, Value>> + Send>> {
        Box::pin(async move {
            let key = request["key"].as_str().unwrap_or_default().to_owned();
            let options = said::options(&request["options"]);
            let (corral, bytes) = (opened.corral.clone(), opened.bytes);
            let building = {
                let key = key.clone();
                move || self.run(opened, key, request["build"].clone(), call)
            };
            if bytes {
                let build = || async move {
                    match building().await? {
                        Any::Json(value) => Ok(Bytes(said::bytes(&value).unwrap_or_default())),
                        Any::Unencodable => Err(BuildError::Raised("bytes are always written".to_owned())),
                    }
                };
                let Bytes(value) = corral.get_or_build_with(&key, &options, build).await.map_err(described_build)?;
                return Ok(said::of_bytes(&value));
            }
            match corral.get_or_build_with(&key, &options, building).await.map_err(described_build)? {
                Any::Json(value) => Ok(value),
                Any::Unencodable => Err(unsupported("a value that cannot be told")),
            }
        })
    }

    fn gate(&self, name: &str) -> watch::Sender<bool> {
        self.gates.lock().unwrap().entry(name.to_owned()).or_insert_with(|| watch::channel(false).0).clone()
    }

    pub fn run(self: Arc<Self>, opened: Opened, key: String, script: Value, call: Value) -> Building {
        Box::pin(async move {
            say(&json!({"event": "begun", "key": key, "call": call, "at": now()}));
            let _ended = Ended { key, call: call.clone() };
            let mut value = Any::Json(Value::Null);
            for action in script.as_array().into_iter().flatten() {
                if action["not_shared"] == true {
                    corral::do_not_share();
                }
                if let Some(gate) = action["wait_for"].as_str() {
                    let mut open = self.gate(gate).subscribe();
                    open.wait_for(|open| *open).await.expect("the gate is kept");
                } else if action.get("sleep").is_some() {
                    tokio::time::sleep(said::seconds(&action["sleep"])).await;
                } else if let Some(returned) = action.get("return") {
                    value = Any::Json(returned.clone());
                } else if action.get("return_unencodable").is_some() {
                    value = Any::Unencodable;
                } else if let Some(text) = action["raise"].as_str() {
                    return Err(BuildError::Raised(text.to_owned()));
                } else if let Some(inner) = action.get("get_or_build") {
                    self.clone().get(opened.clone(), inner.clone(), call.clone()).await.map_err(BuildError::Nested)?;
                } else if action.get("exit").is_some() {
                    let kill =
                        std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
                    panic!("kill -9 has not killed: {kill:?}");
                }
            }
            Ok(value)
        })
    }
}

/// However a build ends.
struct Ended {
    key: String,
    call: Value,
}

/// Of the machine's clock, in seconds: what two processes say is in order by it.
fn now() -> f64 {
    std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs_f64()
}

impl Drop for Ended {
    fn drop(&mut self) {
        say(&json!({"event": "ended", "key": self.key, "call": self.call, "at": now()}));
    }
}

fn unsupported(what: &str) -> Value {
    json!({"type": "Unsupported", "message": what})
}

fn done(result: Result<(), Error>) -> Result<Value, Value> {
    result.map(|()| Value::Null).map_err(described)
}

pub fn described(error: Error) -> Value {
    described_as(&error, &error.to_string())
}

pub fn described_build(error: Error<BuildError>) -> Value {
    match error {
        Error::Build(BuildError::Nested(error)) => error,
        Error::Build(BuildError::Raised(text)) => json!({"type": "Build", "message": text}),
        error => described_as(&error, &error.to_string()),
    }
}

fn described_as<E>(error: &Error<E>, text: &str) -> Value {
    let kind = match error {
        Error::Failed(failed) => {
            return json!({"type": "BuildFailed", "message": text, "retry_after": failed.retry_after.as_secs_f64()});
        }
        Error::WaitTimeout(_) => "WaitTimeout",
        Error::Recursion(_) => "Recursion",
        Error::Serialization(_) => "Encoding",
        Error::ModuleMissing(_) => "ModuleMissing",
        Error::NoPermission(_) => "NoPermission",
        Error::Unsupported(_) => "Unsupported",
        Error::Unavailable(_) => "Server",
        Error::NotAllAnswered(..) => "NotAllAnswered",
        Error::Usage(_) => "Usage",
        _ => "Other",
    };
    json!({"type": kind, "message": text})
}

/// Warnings are shown when a scenario fails.
struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        eprintln!("{} {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

#[tokio::main]
async fn main() {
    log::set_logger(&Stderr).expect("there is no other");
    log::set_max_level(log::LevelFilter::Warn);
    let driver = Arc::new(Driver::default());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let request: Value = serde_json::from_str(&line).expect("a line is JSON");
        let id = request["id"].clone();
        let answer = |id: &Value, answered: Result<Value, Value>| match answered {
            Ok(value) => say(&json!({"id": id, "value": value})),
            Err(error) => say(&json!({"id": id, "error": error})),
        };
        if ["hello", "open", "gate", "events", "cancel"].iter().any(|at_once| request["do"] == *at_once) {
            answer(&id, driver.perform(&request).await);
            continue;
        }
        let call = {
            let driver = driver.clone();
            tokio::spawn(async move { driver.perform(&request).await })
        };
        driver.running.lock().unwrap().insert(id.to_string(), call.abort_handle());
        tokio::spawn(async move {
            answer(
                &id,
                match call.await {
                    Ok(answered) => answered,
                    Err(error) if error.is_cancelled() => Err(json!({"type": "Cancelled", "message": "aborted"})),
                    Err(error) => Err(json!({"type": "Other", "message": error.to_string()})),
                },
            );
        });
    }
    std::process::exit(0);
}
