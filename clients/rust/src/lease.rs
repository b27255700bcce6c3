//! Asking for a key, and what a holder owes: a tie, renewal while it builds, one verdict at the end.

use std::sync::Arc;
use std::time::Duration;

use redis::{cmd, Cmd, Value};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::error::{kind_of, Error, Kind};
use crate::node::{Features, Link, Node};
use crate::options::Options;
use crate::server::{need, pause, refusal, triple, Reached, Server, Triple};
use crate::target::SLICE;
use crate::teller::Teller;

/// The same in every package: what is shorter may be a busy machine's.
const WAIT_WORTH_TELLING: Duration = Duration::from_millis(10);

pub(crate) enum Answer {
    Hit {
        data: Vec<u8>,
        fresh: Option<Duration>,
        /// When it was asked for, at the latest.
        sent: Instant,
    },
    Stale(Vec<u8>),
    Refresh(Vec<u8>, Lease),
    Lock(Lease),
    Pass,
    Fail(String, Duration),
    /// The patience is over.
    Wait,
}

pub(crate) struct Leases {
    pub server: Arc<Server>,
    pub parking: Semaphore,
    pub teller: Teller,
}

/// At least 1: the server takes 0 for an error where a time must be a time.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 52)
}

impl Leases {
    /// One round trip for what is there; who has to wait is parked, in slices, on a connection of its own.
    pub(crate) async fn ask(&self, key: &[u8], o: &Options, force: bool, deadline: Instant) -> Result<Answer, Error> {
        let began = Instant::now();
        let mut waits = false;
        loop {
            let asked = Instant::now();
            let left = deadline.saturating_duration_since(asked);
            let place = if waits && left > Duration::from_millis(1) { self.parking.try_acquire().ok() } else { None };
            let block = place.as_ref().map(|_| left.min(SLICE));
            let make = |features: &Features, own: bool| question(features, key, o, force, own, block);
            let reached = self.server.reach(key, &make, block.is_some(), deadline).await?;
            drop(place);
            let answer = self.read(reached, key, o, asked)?;
            if !matches!(answer, Answer::Wait) || Instant::now() >= deadline {
                let took = began.elapsed();
                if waits && took > WAIT_WORTH_TELLING && !matches!(answer, Answer::Lock(_) | Answer::Refresh(..)) {
                    self.teller.took("waited", key, took);
                }
                return Ok(answer);
            }
            // Asked to be parked and was not: the room is full. Or all of this process's places are taken.
            if waits && (block.is_none() || asked.elapsed() < Duration::from_millis(20)) {
                pause(deadline).await;
            }
            waits = true;
        }
    }

    fn read(&self, reached: Reached, key: &[u8], o: &Options, sent: Instant) -> Result<Answer, Error> {
        let Reached { reply, node, link } = reached;
        let Some(Triple { state, value, number }) = triple(&reply) else {
            return Err(Error::UnknownAnswer(format!("CACHE.GETORLOCK answered {reply:?}")));
        };
        let bytes = || value.unwrap_or_default().to_vec();
        let left = Duration::from_millis(u64::try_from(number).unwrap_or(0));
        let answer = match state {
            b"HIT" => Answer::Hit { data: bytes(), fresh: (number >= 0).then_some(left), sent },
            b"STALE" => Answer::Stale(bytes()),
            b"PASS" => Answer::Pass,
            b"FAIL" => Answer::Fail(String::from_utf8_lossy(value.unwrap_or_default()).into_owned(), left),
            b"WAIT" => Answer::Wait,
            b"LOCK" => return Ok(Answer::Lock(self.granted(key, number, node, link, o))),
            b"REFRESH" => {
                let old = bytes();
                return Ok(Answer::Refresh(old, self.granted(key, number, node, link, o)));
            }
            // Dropping the connection ends the lease, should this be a grant.
            other => {
                let state = String::from_utf8_lossy(other);
                return Err(Error::UnknownAnswer(format!(
                    "CACHE.GETORLOCK answered the state {state}, which this version does not know"
                )));
            }
        };
        if let Some(link) = link {
            node.give(link);
        }
        Ok(answer)
    }

    fn granted(&self, key: &[u8], token: i64, node: Arc<Node>, link: Option<Link>, o: &Options) -> Lease {
        let held = Held {
            key: key.to_vec(),
            token,
            node,
            length: o.length(),
            link: Mutex::new(link),
            server: self.server.clone(),
            teller: self.teller.clone(),
        };
        Lease { held: Arc::new(held), renewal: None, over: false }
    }
}

fn question(
    features: &Features,
    key: &[u8],
    o: &Options,
    force: bool,
    own: bool,
    block: Option<Duration>,
) -> Result<Cmd, Error> {
    let wanted = [
        (o.group.is_some(), "cache.getorlock group"),
        (o.version.is_some(), "cache.fill version"),
        (o.tags.as_ref().is_some_and(|tags| !tags.is_empty()), "cache.fill tags"),
    ];
    for (_, word) in wanted.into_iter().filter(|(is_wanted, _)| *is_wanted) {
        need(features, word)?;
    }
    let mut command = cmd("CACHE.GETORLOCK");
    command.arg(key).arg("LEASE").arg(ms(o.length()));
    if own {
        command.arg("TIED");
    }
    if force {
        command.arg("FORCE").arg("NOSTALE");
    }
    if let Some(group) = &o.group {
        command.arg("GROUP").arg(group.as_ref());
    }
    // A group may have a time to block of its own, and all others' calls would stand behind it on a shared connection.
    if let Some(block) = block.or(o.group.as_ref().map(|_| Duration::ZERO)) {
        command.arg("BLOCK").arg(ms(block));
    }
    Ok(command)
}

struct Held {
    key: Vec<u8>,
    token: i64,
    node: Arc<Node>,
    length: Duration,
    /// What it is tied to. Renewal and verdict share it.
    link: Mutex<Option<Link>>,
    server: Arc<Server>,
    teller: Teller,
}

/// The right to build one key. Dropped without a verdict, it is released: the next one builds.
pub(crate) struct Lease {
    held: Arc<Held>,
    renewal: Option<AbortHandle>,
    over: bool,
}

impl Lease {
    /// Moves the tie to a connection of its own, so that a killed process frees the lease at once, and keeps the lease
    /// until the verdict. Done before the build begins: a build may kill its process. Without a connection the lease
    /// is renewed all the same. False if it is not ours any more.
    pub(crate) async fn hold(&mut self) -> bool {
        if self.renewal.is_some() {
            return true;
        }
        match self.held.tie().await {
            Ok(true) => {}
            Ok(false) => {
                self.end();
                return false;
            }
            Err(error) => log::warn!("the lease of {} could not be tied to a connection: {error}", self.held.name()),
        }
        self.renewal = Some(tokio::spawn(renew(self.held.clone())).abort_handle());
        true
    }

    /// Speaks the verdict over the held connection, or once over another, also if the caller is dropped meanwhile.
    /// Whoever built has the value in any case, so nothing but a missing right is an error. `None`: it was not taken.
    pub(crate) async fn conclude(mut self, verdict: &'static str, rest: Cmd) -> Result<Option<Value>, Error> {
        self.end();
        let held = self.held.clone();
        let spoken = tokio::spawn(async move {
            let reply = held.speak(verdict, &rest).await;
            if verdict == "CACHE.FILL" && matches!(reply, Ok(Some(Value::Nil))) {
                held.teller.tell("not_stored", &held.key); // invalidated meanwhile, or somebody took over
            }
            reply
        });
        spoken.await.unwrap_or(Ok(None)) // the runtime is shutting down
    }

    fn end(&mut self) {
        self.over = true;
        if let Some(renewal) = self.renewal.take() {
            renewal.abort();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.end();
        let held = self.held.clone();
        // Without a runtime the connection closes with the last of its owners, and the tie ends the lease.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { held.speak("CACHE.RELEASE", &Cmd::new()).await });
        }
    }
}

async fn renew(held: Arc<Held>) {
    loop {
        tokio::time::sleep(held.length / 3).await;
        let mut slot = held.link.lock().await;
        let renewed = match slot.as_mut() {
            Some(link) => held.renewing().query_async::<Value>(&mut link.connection).await.map_err(|error| {
                if matches!(kind_of(&error), Kind::Lost | Kind::Silent) {
                    *slot = None;
                }
                Error::Server(error)
            }),
            None => held.server.command(&held.key, held.renewing()).await,
        };
        match renewed {
            Ok(Value::Nil) => return, // taken over or invalidated; who joined still gets what is being built
            Ok(_) => {}
            Err(error) => log::warn!("the lease of {} could not be renewed: {error}", held.name()),
        }
    }
}

impl Held {
    fn name(&self) -> String {
        String::from_utf8_lossy(&self.key).into_owned()
    }

    fn command(&self, name: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(self.key.as_slice()).arg(self.token);
        command
    }

    fn renewing(&self) -> Cmd {
        let mut command = self.command("CACHE.RENEW");
        command.arg(ms(self.length));
        command
    }

    /// False if the lease is not ours any more.
    async fn tie(&self) -> redis::RedisResult<bool> {
        let mut slot = self.link.lock().await;
        let command = self.renewing().arg("TIED").clone();
        let mut lost = false;
        while slot.is_none() {
            let tied = async {
                let mut link = self.node.take().await?;
                let left: Value = command.query_async(&mut link.connection).await?;
                Ok::<_, redis::RedisError>((link, left))
            };
            match tied.await {
                Ok((link, Value::Nil)) => {
                    self.node.give(link);
                    return Ok(false);
                }
                Ok((link, _)) => *slot = Some(link),
                // What is idle may have been closed by the server long ago.
                Err(error) if kind_of(&error) == Kind::Lost && !lost => {
                    lost = true;
                    self.node.drop_idle();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    async fn speak(&self, verdict: &'static str, rest: &Cmd) -> Result<Option<Value>, Error> {
        let mut command = self.command(verdict);
        for word in rest.args_iter() {
            if let redis::Arg::Simple(bytes) = word {
                command.arg(bytes);
            }
        }
        let held = self.link.lock().await.take();
        let mut why = None;
        if let Some(mut link) = held {
            match command.query_async::<Value>(&mut link.connection).await {
                Ok(reply) => {
                    self.node.give(link);
                    return Ok(Some(reply));
                }
                Err(error) => match kind_of(&error) {
                    Kind::Lost | Kind::Silent | Kind::Moved | Kind::Again => {} // once more, over another
                    kind => {
                        if kind == Kind::Other && verdict == "CACHE.FILL" {
                            // Refused as it stands, and so would be what every next builder brings.
                            let mut fail = self.command("CACHE.FAIL");
                            fail.arg(error.to_string());
                            if let Err(too) = fail.query_async::<Value>(&mut link.connection).await {
                                log::warn!("CACHE.FAIL {} was not taken either: {too}", self.name());
                            }
                        }
                        why = Some(refusal(&self.node, error));
                    }
                },
            }
            // The connection is dropped: should the lease still be live, the tie ends it.
        }
        let refused = match why {
            Some(why) => why,
            None => match self.server.command(&self.key, command).await {
                Ok(reply) => return Ok(Some(reply)),
                Err(error) => error,
            },
        };
        if matches!(refused, Error::NoPermission(_)) {
            return Err(refused);
        }
        log::warn!("{verdict} {} was not taken: {refused}", self.name());
        self.teller.failed("not_stored", &self.key, refused.to_string());
        Ok(None)
    }
}
