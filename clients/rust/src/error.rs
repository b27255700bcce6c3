use std::convert::Infallible;
use std::fmt::{self, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

/// The last build of this key failed, here or elsewhere, and the next attempt is not allowed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFailed {
    pub key: String,
    /// What the builder said.
    pub message: String,
    pub retry_after: Duration,
}

impl fmt::Display for BuildFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl std::error::Error for BuildFailed {}

/// Why there is no value. `E` is the error of the caller's own build.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error<E = Infallible> {
    /// The caller's own build failed.
    Build(E),
    /// Somebody's build failed.
    Failed(BuildFailed),
    /// The value was not there within `wait`.
    WaitTimeout(String),
    /// A build asked for the key that it is building.
    Recursion(String),
    /// The serializer refused what was built, or does not know what was kept.
    Serialization(serde_json::Error),
    /// The server does not have the module.
    ModuleMissing(String),
    /// The server's ACL refuses a command, a key or the credentials.
    NoPermission(String),
    /// The server's module is too old for an option that was asked for.
    Unsupported(String),
    /// The server is gone or refuses service; with `Degrade::Raise` only.
    Unavailable(String),
    /// An invalidation did not reach these nodes: old values may still be served there.
    NotAllAnswered(Vec<String>, String),
    /// The server answered what this version does not know.
    UnknownAnswer(String),
    /// The server refused a command as it stands.
    Server(redis::RedisError),
    /// A template, or an argument of which no text can be made.
    Usage(String),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Build(error) => error.fmt(f),
            Error::Failed(failed) => failed.fmt(f),
            Error::ModuleMissing(node) => {
                write!(f, "{node} does not have the Corral module; in its redis.conf: loadmodule /path/to/libcorral.so")
            }
            Error::NotAllAnswered(_, text)
            | Error::WaitTimeout(text)
            | Error::Recursion(text)
            | Error::NoPermission(text)
            | Error::Unsupported(text)
            | Error::Unavailable(text)
            | Error::UnknownAnswer(text)
            | Error::Usage(text) => f.write_str(text),
            Error::Serialization(error) => error.fmt(f),
            Error::Server(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Build(error) => Some(error),
            Error::Failed(error) => Some(error),
            Error::Serialization(error) => Some(error),
            Error::Server(error) => Some(error),
            _ => None,
        }
    }
}

impl Error {
    /// What no build is part of, as an error of a call that has one.
    pub(crate) fn of_a_build<E>(self) -> Error<E> {
        match self {
            Error::Build(never) => match never {},
            Error::Failed(it) => Error::Failed(it),
            Error::WaitTimeout(it) => Error::WaitTimeout(it),
            Error::Recursion(it) => Error::Recursion(it),
            Error::Serialization(it) => Error::Serialization(it),
            Error::ModuleMissing(it) => Error::ModuleMissing(it),
            Error::NoPermission(it) => Error::NoPermission(it),
            Error::Unsupported(it) => Error::Unsupported(it),
            Error::Unavailable(it) => Error::Unavailable(it),
            Error::NotAllAnswered(nodes, it) => Error::NotAllAnswered(nodes, it),
            Error::UnknownAnswer(it) => Error::UnknownAnswer(it),
            Error::Server(it) => Error::Server(it),
            Error::Usage(it) => Error::Usage(it),
        }
    }
}

/// What an error of the client means for a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The connection broke, or was never made.
    Lost,
    /// The server took the question and did not answer: asking again would cost the same again.
    Silent,
    /// The server cannot or will not serve.
    Outage,
    /// To be asked again.
    Again,
    /// Another node has the slot.
    Moved,
    /// The ACL refuses.
    Denied,
    /// The module is not there.
    Missing,
    Other,
}

pub(crate) fn kind_of(error: &redis::RedisError) -> Kind {
    if error.is_timeout() {
        return Kind::Silent;
    }
    let detail = error.detail().unwrap_or_default();
    match error.code() {
        Some("NOPERM" | "NOAUTH" | "WRONGPASS") => Kind::Denied,
        Some("UNBLOCKED" | "TRYAGAIN") => Kind::Again,
        Some("MOVED" | "ASK") => Kind::Moved,
        Some("LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "READONLY" | "MISCONF" | "NOREPLICAS" | "OOM" | "BUSY") => {
            Kind::Outage
        }
        // No other sign of these two exists than their text.
        Some("ERR") if detail.starts_with("unknown command") => Kind::Missing,
        Some("ERR") if detail.starts_with("max number of clients") => Kind::Outage,
        Some(_) => Kind::Other,
        None if error.kind() == redis::ErrorKind::AuthenticationFailed => Kind::Denied,
        None if error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error() => Kind::Lost,
        None => match error.kind() {
            redis::ErrorKind::MasterNameNotFoundBySentinel => Kind::Lost,
            _ => Kind::Other,
        },
    }
}

/// A build's error as a message for everybody: at most what the server takes. Its type, if it has no text, or one that
/// cannot be written.
pub(crate) fn message_of<E: fmt::Display>(error: &E, with_text: bool) -> Arc<str> {
    const LIMIT: usize = 1_024;
    let mut message = String::new();
    let written = with_text && matches!(catch_unwind(AssertUnwindSafe(|| write!(message, "{error}"))), Ok(Ok(())));
    if !written || message.is_empty() {
        let path = std::any::type_name::<E>();
        message = path.rsplit("::").next().unwrap_or(path).to_owned();
    }
    let mut end = message.len().min(LIMIT);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    message.into()
}
