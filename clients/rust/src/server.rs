//! One request to whoever has the key, and what comes of each error that it may meet.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{cmd, Cmd, RedisError, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::error::{kind_of, Error, Kind};
use crate::node::{Features, Link, Node};
use crate::target::Address;
use crate::topology::Topology;

/// What every user needs, with arguments that are refused after the ACL was asked and before anything is done.
const NEEDED: [(&str, &[&str]); 5] = [
    ("cache.getorlock", &["CORRAL"]),
    ("cache.fill", &["x", ""]),
    ("cache.fail", &["x", ""]),
    ("cache.renew", &["x", "x"]),
    ("cache.release", &["x"]),
];
const WANTED: [(&str, &[&str]); 2] = [("cache.pass", &["x"]), ("cache.get", &[])];
const FIRST_VERSION: [&str; 13] = [
    "getorlock",
    "mgetorlock",
    "fill",
    "set",
    "get",
    "renew",
    "release",
    "fail",
    "pass",
    "touch",
    "invalidate",
    "info",
    "leases",
];
const ATTEMPTS_TO_INVALIDATE: usize = 3;
const PATIENCE: Duration = Duration::from_secs(5);
/// With a server that was lost, until an invalidation is tried again.
const PATIENCE_WITH_ONE: Duration = Duration::from_secs(1);

/// Nodes that did not take an invalidation, and why.
type Unanswered = BTreeMap<String, String>;

pub(crate) struct Reached {
    pub reply: Value,
    pub node: Arc<Node>,
    /// The connection it came over, if it is the caller's own: to be kept, or given back.
    pub link: Option<Link>,
}

impl Reached {
    fn give_back(self) -> Value {
        if let Some(link) = self.link {
            self.node.give(link);
        }
        self.reply
    }
}

/// The command, for a connection that is shared or (`true`) its own.
pub(crate) type Make<'a> = &'a (dyn Fn(&Features, bool) -> Result<Cmd, Error> + Sync);

pub(crate) struct Server {
    pub topology: Topology,
}

impl Server {
    /// [`Error::Unavailable`] for an outage; [`Error::NoPermission`] and [`Error::ModuleMissing`] always.
    pub(crate) async fn reach(
        self: &Arc<Self>,
        key: &[u8],
        make: Make<'_>,
        own: bool,
        deadline: Instant,
    ) -> Result<Reached, Error> {
        let mut lost = false;
        let mut moved = false;
        let mut redirect: Option<Address> = None;
        loop {
            let asks = redirect.is_some();
            let node = match redirect.take() {
                Some(address) => self.topology.at(address),
                None => self.topology.of(key).await?,
            };
            let error = match self.attempt(&node, key, make, own, asks).await {
                Ok(reached) => return Ok(reached),
                Err(Attempt::Final(error)) => return Err(error),
                Err(Attempt::Refused(error)) => error,
            };
            match kind_of(&error) {
                Kind::Lost if !lost && node.is_out().is_none() => {
                    lost = true;
                    node.drop_idle();
                }
                Kind::Lost | Kind::Silent | Kind::Outage => return Err(self.out(&node, &error).await),
                kind @ (Kind::Moved | Kind::Again) => {
                    if Instant::now() >= deadline {
                        let key = String::from_utf8_lossy(key);
                        return Err(Error::WaitTimeout(format!(
                            "{key}: {} said to ask again until `wait` was over: {error}",
                            node.name
                        )));
                    }
                    if let Some((address, _)) = error.redirect_node().filter(|_| error.code() == Some("ASK")) {
                        redirect = address_of(address);
                    }
                    if redirect.is_some() {
                        continue;
                    }
                    if kind == Kind::Again || moved {
                        pause(deadline).await; // moved twice: the nodes do not agree yet
                    }
                    moved = kind == Kind::Moved;
                    if moved {
                        self.refreshed().await;
                    }
                }
                _ => return Err(refusal(&node, error)),
            }
        }
    }

    async fn attempt(
        self: &Arc<Self>,
        node: &Arc<Node>,
        key: &[u8],
        make: Make<'_>,
        own: bool,
        asks: bool,
    ) -> Result<Reached, Attempt> {
        self.refuse_if_out(node)?;
        let features = match node.features() {
            Some(features) => features,
            None => self.ask_features(node, key).await?,
        };
        let own = own || asks || !features.words.contains("cache.renew tied");
        let command = make(&features, own).map_err(Attempt::Final)?;
        if !own {
            let reply = over_shared(node, command, key).await?;
            node.served();
            return Ok(Reached { reply, node: node.clone(), link: None });
        }
        let mut link = node.take().await?;
        if asks {
            let _: Value = cmd("ASKING").query_async(&mut link.connection).await?;
        }
        match command.query_async(&mut link.connection).await {
            Ok(reply) => {
                node.served();
                Ok(Reached { reply, node: node.clone(), link: Some(link) })
            }
            Err(error) => {
                if !matches!(kind_of(&error), Kind::Lost | Kind::Silent) {
                    node.give(link);
                }
                Err(error.into())
            }
        }
    }

    pub(crate) async fn command(self: &Arc<Self>, key: &[u8], command: Cmd) -> Result<Value, Error> {
        let make = |_: &Features, _| Ok(command.clone());
        Ok(self.reach(key, &make, false, Instant::now() + PATIENCE).await?.give_back())
    }

    pub(crate) async fn features(self: &Arc<Self>, key: &[u8], anew: bool) -> Result<Arc<Features>, Error> {
        let node = self.topology.of(key).await?;
        match node.features() {
            Some(features) if !anew => return Ok(features),
            _ => {}
        }
        match self.refuse_if_out(&node).and(self.ask_features(&node, key).await) {
            Ok(features) => Ok(features),
            Err(Attempt::Final(error)) => Err(error),
            Err(Attempt::Refused(error)) => match kind_of(&error) {
                Kind::Lost | Kind::Silent | Kind::Outage => Err(self.out(&node, &error).await),
                _ => Err(refusal(&node, error)),
            },
        }
    }

    pub(crate) async fn invalidate(self: &Arc<Self>, keys: &[Vec<u8>]) -> Result<(), Error> {
        // In a cluster one by one: keys of one command must be of one slot.
        let together = if self.topology.is_cluster() { 1 } else { keys.len().max(1) };
        let mut unanswered = Unanswered::new();
        for group in keys.chunks(together) {
            let Some(first) = group.first() else { continue };
            let mut command = cmd("CACHE.INVALIDATE");
            group.iter().for_each(|key| {
                command.arg(key.as_slice());
            });
            self.change(first, &command, &mut unanswered).await?;
        }
        all_answered(unanswered)
    }

    pub(crate) async fn outdate(self: &Arc<Self>, key: &[u8], version: u64) -> Result<(), Error> {
        let mut command = cmd("CACHE.OUTDATE");
        command.arg(key).arg(version);
        let mut unanswered = Unanswered::new();
        match self.change(key, &command, &mut unanswered).await {
            Err(missing @ Error::ModuleMissing(_)) => {
                need(&*self.features(key, false).await?, "cache.outdate")?;
                Err(missing)
            }
            Err(error) => Err(error),
            Ok(()) => all_answered(unanswered),
        }
    }

    /// Tried again, for a lost mark is a stale page for ever; but a node that did not take one key is not waited for with
    /// each of the others, which are to be told as well.
    async fn change(self: &Arc<Self>, key: &[u8], command: &Cmd, unanswered: &mut Unanswered) -> Result<(), Error> {
        for attempt in 1.. {
            let why = match self.command(key, command.clone()).await {
                Ok(_) => break,
                Err(Error::Unavailable(why)) => why,
                Err(error) => return Err(error),
            };
            let node = self.topology.of(key).await.ok();
            let name = match &node {
                Some(node) => node.name.clone(),
                None => format!("the master of {}", String::from_utf8_lossy(key)),
            };
            if attempt == ATTEMPTS_TO_INVALIDATE || unanswered.contains_key(&name) {
                unanswered.insert(name, why);
                break;
            }
            tokio::time::sleep(Duration::from_millis(100 + random_below(100))).await;
            self.refreshed().await;
            if let Some(node) = node {
                // It may be back before its pause is over. One that hangs is not waited for.
                let _late = tokio::time::timeout(PATIENCE_WITH_ONE, self.try_again(&node)).await;
            }
        }
        Ok(())
    }

    /// To every master there is now, by one connection each; those that did not take it are tried again.
    pub(crate) async fn invalidate_tags(self: &Arc<Self>, command: Cmd) -> Result<(), Error> {
        let mut done = HashSet::new();
        let mut failed = Unanswered::new();
        for attempt in 0..ATTEMPTS_TO_INVALIDATE {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(100 + random_below(100))).await;
            }
            failed.clear();
            let masters = match self.topology.masters().await {
                Ok(masters) => masters,
                Err(Error::Unavailable(why)) => {
                    failed.insert("every node".to_owned(), why);
                    continue;
                }
                Err(error) => return Err(error),
            };
            for node in masters {
                if done.contains(&node.name) {
                    continue;
                }
                match tell(&node, &command).await {
                    Ok(()) => {
                        done.insert(node.name.clone());
                    }
                    Err(error) => match kind_of(&error) {
                        Kind::Missing => {
                            return Err(Error::Unsupported(format!(
                                "{}: the server's module has no CACHE.INVALIDATETAG",
                                node.name
                            )));
                        }
                        Kind::Denied | Kind::Other => return Err(refusal(&node, error)),
                        _ => {
                            node.leave();
                            failed.insert(node.name.clone(), error.to_string());
                        }
                    },
                }
            }
            if failed.is_empty() {
                break;
            }
        }
        all_answered(failed)
    }

    // --- Outages ---

    fn refuse_if_out(self: &Arc<Self>, node: &Arc<Node>) -> Result<(), Attempt> {
        let Some(why) = node.is_out() else { return Ok(()) };
        if let Some(turn) = node.turn_to_try() {
            let server = self.clone();
            tokio::spawn(async move { server.try_again(&turn.0).await });
        }
        Err(Attempt::Final(Error::Unavailable(format!("{} is out: {why}", node.name))))
    }

    async fn try_again(&self, node: &Node) {
        match tell(node, &cmd("PING")).await {
            Err(error) if matches!(kind_of(&error), Kind::Lost | Kind::Silent | Kind::Outage) => {
                node.out(&error);
                self.refreshed().await; // in a cluster a replica may have taken its place meanwhile
            }
            _ => node.answers(), // what it refuses is for callers to see
        }
    }

    async fn out(&self, node: &Node, error: &RedisError) -> Error {
        node.out(error);
        node.leave();
        self.refreshed().await;
        Error::Unavailable(format!("{}: {error}", node.name))
    }

    /// If it cannot be, what is known stays: the caller has an error of its own.
    async fn refreshed(&self) {
        if let Err(error) = self.topology.refresh().await {
            log::debug!("{error}");
        }
    }

    // --- What the module can ---

    async fn ask_features(&self, node: &Arc<Node>, key: &[u8]) -> Result<Arc<Features>, Attempt> {
        let mut link = node.take().await?;
        let told: RedisResult<Value> = cmd("CACHE.VERSION").query_async(&mut link.connection).await;
        let mut missing = Vec::new();
        for (number, (name, arguments)) in NEEDED.iter().chain(&WANTED).enumerate() {
            let refused: RedisResult<Value> =
                cmd(name).arg(key).arg(*arguments).query_async(&mut link.connection).await;
            match refused {
                Err(error) if kind_of(&error) == Kind::Missing => {
                    node.give(link);
                    return Err(Attempt::Final(Error::ModuleMissing(node.name.clone())));
                }
                Err(error) if matches!(kind_of(&error), Kind::Lost | Kind::Silent) => return Err(error.into()),
                Err(error) if is_missing_right(&error) => {
                    missing.push((*name).to_owned());
                    if number < NEEDED.len() {
                        node.give(link);
                        return Err(Attempt::Final(lacking(node, name)));
                    }
                }
                _ => {}
            }
        }
        node.give(link);
        let features = Arc::new(match told {
            Ok(told) => read(&told, missing),
            Err(error) if is_missing_right(&error) => return Err(Attempt::Final(lacking(node, "cache.version"))),
            Err(error) if kind_of(&error) != Kind::Missing => return Err(error.into()),
            Err(_) => Features {
                version: "of the first version".to_owned(),
                words: FIRST_VERSION.iter().map(|word| format!("cache.{word}")).collect(),
                missing,
            },
        });
        node.learn(Some(features.clone()));
        Ok(features)
    }
}

/// Why an attempt did not succeed.
enum Attempt {
    Final(Error),
    Refused(RedisError),
}

impl From<RedisError> for Attempt {
    fn from(error: RedisError) -> Self {
        Attempt::Refused(error)
    }
}

async fn over_shared(node: &Arc<Node>, command: Cmd, key: &[u8]) -> RedisResult<Value> {
    let (number, connection) = node.shared().await?;
    let mut over = connection.clone();
    let question = Box::pin(async move { command.query_async(&mut over).await });
    let reply = Asking { question: Some(question), connection, key: key.to_vec() }.await;
    if let Err(error) = &reply {
        if matches!(kind_of(error), Kind::Lost | Kind::Silent) {
            node.leave_shared(number);
        }
    }
    reply
}

type Question = Pin<Box<dyn Future<Output = RedisResult<Value>> + Send>>;

/// A question over the shared connection. A caller that is dropped hears of no grant: then a task hears the answer out,
/// and gives back what it grants.
struct Asking {
    question: Option<Question>, // until it is answered
    connection: MultiplexedConnection,
    key: Vec<u8>,
}

impl Future for Asking {
    type Output = RedisResult<Value>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let asking = self.get_mut();
        let Some(question) = &mut asking.question else { return Poll::Pending };
        let reply = ready!(question.as_mut().poll(context));
        asking.question = None;
        Poll::Ready(reply)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let Some(question) = self.question.take() else { return };
        let Ok(runtime) = Handle::try_current() else { return }; // a grant ends by itself
        let (key, mut connection) = (std::mem::take(&mut self.key), self.connection.clone());
        runtime.spawn(async move {
            let Ok(unheard) = question.await else { return };
            let Some(Triple { state: b"LOCK" | b"REFRESH", number: token, .. }) = triple(&unheard) else { return };
            let released: RedisResult<Value> =
                cmd("CACHE.RELEASE").arg(key).arg(token).query_async(&mut connection).await;
            if let Err(error) = released {
                log::warn!("a lease that nobody waited for was not released, and ends by itself: {error}");
            }
        });
    }
}

async fn tell(node: &Node, command: &Cmd) -> RedisResult<()> {
    let mut link = node.take().await?;
    let reply: RedisResult<Value> = command.query_async(&mut link.connection).await;
    match reply {
        Err(error) if matches!(kind_of(&error), Kind::Lost | Kind::Silent) => Err(error),
        other => {
            node.give(link);
            other.map(drop)
        }
    }
}

/// What GETORLOCK and FAIL answer.
pub(crate) struct Triple<'a> {
    pub state: &'a [u8],
    pub value: Option<&'a [u8]>,
    pub number: i64,
}

pub(crate) fn triple(reply: &Value) -> Option<Triple<'_>> {
    let Value::Array(elements) = reply else { return None };
    let [state, value, Value::Int(number)] = elements.as_slice() else { return None };
    let state = match state {
        Value::BulkString(state) => state.as_slice(),
        Value::SimpleString(state) => state.as_bytes(),
        _ => return None,
    };
    let value = if let Value::BulkString(bytes) = value { Some(bytes.as_slice()) } else { None };
    Some(Triple { state, value, number: *number })
}

/// In step with others one would ask in vain.
pub(crate) async fn pause(deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    tokio::time::sleep(left.min(Duration::from_millis(20 + random_below(80)))).await;
}

fn random_below(limit: u64) -> u64 {
    RandomState::new().hash_one(()) % limit
}

/// What is an error for every caller, whatever it prefers.
pub(crate) fn refusal(node: &Node, error: RedisError) -> Error {
    match kind_of(&error) {
        Kind::Denied => Error::NoPermission(format!("{}: {error}", node.name)),
        Kind::Missing => {
            node.learn(None);
            Error::ModuleMissing(node.name.clone())
        }
        _ => Error::Server(error),
    }
}

pub(crate) fn need(features: &Features, word: &str) -> Result<(), Error> {
    if features.words.contains(word) {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "the server's module (version {}) has no {}",
        features.version,
        word.to_uppercase()
    )))
}

fn lacking(node: &Node, command: &str) -> Error {
    Error::NoPermission(format!("{}: the user may not run {command}: add +{command} to its ACL rules", node.name))
}

/// "… no permissions to run the 'cache.fill' command". A refused key is told when it is used.
fn is_missing_right(error: &RedisError) -> bool {
    kind_of(error) == Kind::Denied && error.detail().is_some_and(|text| text.contains(" run the '"))
}

fn address_of(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':').filter(|(host, _)| !host.is_empty())?;
    Some(Address { host: host.to_owned(), port: port.parse().ok()? })
}

fn all_answered(unanswered: Unanswered) -> Result<(), Error> {
    if unanswered.is_empty() {
        return Ok(());
    }
    let said: Vec<String> = unanswered.iter().map(|(node, why)| format!("{node} ({why})")).collect();
    Err(Error::NotAllAnswered(unanswered.into_keys().collect(), format!("not invalidated on {}", said.join(", "))))
}

fn read(told: &Value, missing: Vec<String>) -> Features {
    let mut map = HashMap::new();
    match told {
        Value::Map(pairs) => map.extend(pairs.iter().map(|(name, value)| (text(name), value))),
        Value::Array(flat) => map.extend(flat.chunks(2).filter_map(|pair| match pair {
            [name, value] => Some((text(name), value)),
            _ => None,
        })),
        _ => {}
    }
    let listed = |name: &str| match map.get(name) {
        Some(Value::Array(words)) => words.iter().map(|word| text(word).to_lowercase()).collect(),
        _ => Vec::new(),
    };
    let words = listed("commands").into_iter().chain(listed("options")).collect();
    Features { version: map.get("version").map_or_else(|| "?".to_owned(), |value| text(value)), words, missing }
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        other => format!("{other:?}"),
    }
}
