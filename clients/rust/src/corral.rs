use std::fmt;
use std::future::Future;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use redis::{cmd, Cmd, IntoConnectionInfo};
use serde::de::DeserializeOwned;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::building::{self, Build, Failure, Made};
use crate::cached::Cached;
use crate::error::{message_of, Error};
use crate::flight::{build_failed, Boarded, Flight, Flights, Outcome};
use crate::lease::{ms, Answer, Lease, Leases};
use crate::near::Near;
use crate::node::Features;
use crate::options::{fits, Degrade, OnTimeout, Options, Settings};
use crate::server::{triple, Server, Triple};
use crate::target::Target;
use crate::teller::Teller;
use crate::topology::Topology;
use crate::value::Cacheable;

/// Values that are built once however many ask for them. Made once for a process and cloned; making one talks to no
/// server. Its calls need a tokio runtime.
#[derive(Clone)]
pub struct Corral {
    engine: Arc<Engine>,
}

impl fmt::Debug for Corral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Corral").field("settings", &self.engine.settings).finish_non_exhaustive()
    }
}

impl Corral {
    /// Over a `redis::Client`, a cluster ([`Target::cluster`]) or a `redis::sentinel::SentinelClient`.
    pub fn new(target: impl Into<Target>) -> Self {
        Self::with(target, Settings::new())
    }

    pub fn with(target: impl Into<Target>, settings: Settings) -> Self {
        let teller = Teller(settings.on_event.clone());
        let server = Arc::new(Server { topology: Topology::new(target.into()) });
        let places = |wanted: usize| Semaphore::new(wanted.min(Semaphore::MAX_PERMITS));
        let engine = Engine {
            leases: Leases { server: server.clone(), parking: places(settings.max_waiting), teller: teller.clone() },
            server,
            teller,
            flights: Flights::default(),
            near: (settings.local > 0).then(|| Near::new(settings.local, settings.local_ttl)),
            degrading: places(settings.degrade_limit),
            refreshing: Arc::new(places(settings.background_limit)),
            out: AtomicBool::new(false),
            settings,
        };
        Corral { engine: Arc::new(engine) }
    }

    /// Over one server, by its URL.
    pub fn open(url: impl IntoConnectionInfo) -> redis::RedisResult<Self> {
        Ok(Self::new(redis::Client::open(url)?))
    }

    /// The value of `key`. `build` is called if nobody else is building it, and runs in the caller's own task. Dropping
    /// this future gives the lease to the next caller, or leaves the waiting room.
    pub async fn get_or_build<T, E, B, F>(&self, key: impl AsRef<[u8]>, build: B) -> Result<T, Error<E>>
    where
        T: Cacheable,
        E: fmt::Display + Send + 'static,
        B: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.get_or_build_with(key, &Options::new(), build).await
    }

    /// As [`get_or_build`](Self::get_or_build), with options of its own.
    pub async fn get_or_build_with<T, E, B, F>(
        &self,
        key: impl AsRef<[u8]>,
        options: &Options,
        build: B,
    ) -> Result<T, Error<E>>
    where
        T: Cacheable,
        E: fmt::Display + Send + 'static,
        B: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let options = options.over(&self.engine.settings.defaults);
        self.engine.call(key.as_ref(), options, false, building::boxed(build)).await
    }

    /// Builds although the value is fresh. Everybody else is served what is there meanwhile.
    pub async fn refresh<T, E, B, F>(&self, key: impl AsRef<[u8]>, options: &Options, build: B) -> Result<T, Error<E>>
    where
        T: Cacheable,
        E: fmt::Display + Send + 'static,
        B: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let options = options.over(&self.engine.settings.defaults);
        self.engine.call(key.as_ref(), options, true, building::boxed(build)).await
    }

    /// A function of one argument that answers from the cache. `{name}` in the template, and in the options' tags, is a
    /// field of the argument, if it is a struct, else it itself.
    pub fn cached<A, T, E, B, F>(&self, template: &str, options: Options, function: B) -> Result<Cached<A, B>, Error>
    where
        A: Serialize + DeserializeOwned,
        B: Fn(A) -> F + Clone + Send + 'static,
        F: Future<Output = Result<T, E>>,
    {
        Cached::new(self.clone(), template, options, function)
    }

    /// Stale from now on; a build under way is not stored.
    pub async fn invalidate<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<(), Error> {
        let keys: Vec<Vec<u8>> = keys.into_iter().map(|key| key.as_ref().to_vec()).collect();
        self.engine.forget(Some(&keys));
        let done = self.engine.server.invalidate(&keys).await;
        self.engine.forget(Some(&keys));
        done
    }

    /// What carries one of the tags is stale from now on, on every master. `swr` caps how long old values are served:
    /// zero, and they are not.
    pub async fn invalidate_tags<T: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = T>,
        swr: Option<Duration>,
    ) -> Result<(), Error> {
        let tags: Vec<String> = tags.into_iter().map(|tag| tag.as_ref().to_owned()).collect();
        if tags.is_empty() {
            return Ok(());
        }
        let mut command = cmd("CACHE.INVALIDATETAG");
        command.arg(tags.len()).arg(&tags);
        if let Some(swr) = swr {
            command.arg("SWR").arg(u64::try_from(swr.as_millis()).unwrap_or(u64::MAX));
        }
        self.engine.forget(None);
        let done = self.engine.server.invalidate_tags(command).await;
        self.engine.forget(None);
        done
    }

    /// The source has at least this version: what is older is stale, and not stored any more.
    pub async fn outdate(&self, key: impl AsRef<[u8]>, version: u64) -> Result<(), Error> {
        let keys = [key.as_ref().to_vec()];
        self.engine.forget(Some(&keys));
        let done = self.engine.server.outdate(&keys[0], version).await;
        self.engine.forget(Some(&keys));
        done
    }

    /// What the server's module can and what the user may. The first call in a process does this by itself.
    pub async fn check(&self) -> Result<Arc<Features>, Error> {
        self.engine.server.features(b"corral:check", true).await
    }
}

struct Engine {
    settings: Settings,
    server: Arc<Server>,
    leases: Leases,
    teller: Teller,
    flights: Flights,
    near: Option<Near>,
    degrading: Semaphore,
    refreshing: Arc<Semaphore>,
    out: AtomicBool,
}

impl Engine {
    fn id(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self) as usize
    }

    async fn call<T: Cacheable, E: fmt::Display + Send + 'static>(
        self: &Arc<Self>,
        key: &[u8],
        o: Options,
        force: bool,
        build: Build<T, E>,
    ) -> Result<T, Error<E>> {
        o.check().map_err(Error::of_a_build)?;
        fits("a key", key.len())?;
        if building::keys(self.id()).iter().any(|outer| outer == key) {
            let key = String::from_utf8_lossy(key);
            return Err(Error::Recursion(format!("the build of {key} asks for {key}, and would wait for itself")));
        }
        if let Some(data) = self.near.as_ref().filter(|_| !force).and_then(|near| near.get(key)) {
            self.teller.tell("hit", key);
            return decoded(&data);
        }
        let deadline = Instant::now() + o.patience().min(Duration::from_secs(3_000_000_000));
        loop {
            let mut landing = match self.flights.board(key, force) {
                Boarded::Leads(flight) => return self.lead(flight, key, o, force, deadline, build).await,
                Boarded::Joins(landing) => landing,
            };
            let Ok(landed) = tokio::time::timeout_at(deadline, landing.wait_for(Option::is_some)).await else {
                return self.impatient(key, &o, build).await;
            };
            let outcome = landed.ok().and_then(|landed| landed.clone().flatten());
            match outcome {
                None => {} // who asked has left: ask anew
                Some(Outcome::Value(data)) => return decoded(&data),
                Some(Outcome::Failed { message, again_at }) => {
                    return Err(Error::Failed(build_failed(key, &message, again_at)));
                }
                Some(Outcome::Private) => return self.alone(key, build).await,
            }
        }
    }

    async fn lead<T: Cacheable, E: fmt::Display + Send + 'static>(
        self: &Arc<Self>,
        mut flight: Flight,
        key: &[u8],
        o: Options,
        force: bool,
        deadline: Instant,
        build: Build<T, E>,
    ) -> Result<T, Error<E>> {
        let asked_at = self.near.as_ref().map_or(0, Near::moment);
        let answer = match self.leases.ask(key, &o, force, deadline).await {
            Ok(answer) => answer,
            Err(Error::Unavailable(why)) if self.settings.degrade == Degrade::Build => {
                self.say_out(key, why);
                return self.without_server(flight, key, &o, deadline, build).await;
            }
            Err(error) => return Err(error.of_a_build()),
        };
        if self.out.load(Ordering::Relaxed) && self.out.swap(false, Ordering::Relaxed) {
            log::warn!("the server is back");
        }
        match answer {
            Answer::Hit { data, fresh, sent } => {
                let data: Arc<[u8]> = data.into();
                if let Some(near) = &self.near {
                    near.put(key, data.clone(), fresh, asked_at, sent);
                }
                self.serve("hit", flight, key, data)
            }
            Answer::Stale(data) => self.serve("stale", flight, key, data.into()),
            Answer::Refresh(_, lease) if force => self.build(lease, Some(flight), key, &o, asked_at, build).await,
            Answer::Refresh(data, lease) => {
                self.refresh_behind(lease, key, o, asked_at, build);
                self.serve("refresh", flight, key, data.into())
            }
            Answer::Lock(lease) => self.build(lease, Some(flight), key, &o, asked_at, build).await,
            Answer::Pass => {
                flight.outcome = Some(Outcome::Private);
                drop(flight);
                self.alone(key, build).await
            }
            Answer::Fail(message, retry_after) => {
                flight.outcome = Some(Outcome::failed(&message, retry_after));
                Err(Error::Failed(build_failed(key, &message, Instant::now() + retry_after)))
            }
            Answer::Wait => {
                drop(flight); // the next one asks anew
                self.impatient(key, &o, build).await
            }
        }
    }

    fn serve<T: Cacheable, E>(
        &self,
        event: &'static str,
        mut flight: Flight,
        key: &[u8],
        data: Arc<[u8]>,
    ) -> Result<T, Error<E>> {
        self.teller.tell(event, key);
        flight.outcome = Some(Outcome::Value(data.clone()));
        drop(flight);
        decoded(&data)
    }

    // --- Building ---

    async fn build<T: Cacheable, E: fmt::Display + Send + 'static>(
        self: &Arc<Self>,
        mut lease: Lease,
        mut flight: Option<Flight>,
        key: &[u8],
        o: &Options,
        asked_at: u64,
        build: Build<T, E>,
    ) -> Result<T, Error<E>> {
        lease.hold().await;
        let began = Instant::now();
        let (data, shared) = match self.run(key, false, build).await {
            Made::Value(data, shared) => (data, shared),
            Made::Failed(failure, text) => {
                self.teller.build_failed(key, began.elapsed(), &text);
                return self.failed(lease, flight, key, o, text, failure).await;
            }
        };
        self.teller.took("built", key, began.elapsed());
        if let Some(flight) = &mut flight {
            flight.outcome = Some(if shared { Outcome::Value(data.clone()) } else { Outcome::Private });
        }
        if !shared {
            lease.conclude("CACHE.PASS", Cmd::new()).await.map_err(Error::of_a_build)?;
            return decoded(&data);
        }
        let mut rest = Cmd::new();
        rest.arg(&*data);
        for word in writing(o) {
            rest.arg(word);
        }
        let sent = Instant::now();
        let reply = lease.conclude("CACHE.FILL", rest).await.map_err(Error::of_a_build)?;
        if let (Some(near), Some(reply)) = (&self.near, reply) {
            let fresh = o.ttl.flatten().map(|ttl| ttl / 100 * u32::from(100 - o.jitter.unwrap_or(0)));
            if reply != redis::Value::Nil {
                near.put(key, data.clone(), fresh, asked_at, sent);
            }
        }
        decoded(&data)
    }

    async fn failed<T: Cacheable, E>(
        &self,
        lease: Lease,
        mut flight: Option<Flight>,
        key: &[u8],
        o: &Options,
        message: Arc<str>,
        failure: Failure<E>,
    ) -> Result<T, Error<E>> {
        let mut rest = Cmd::new();
        rest.arg(&*message);
        if let Some(backoff) = o.backoff {
            rest.arg("BACKOFF").arg(ms(backoff));
        }
        let reply = lease.conclude("CACHE.FAIL", rest).await.map_err(Error::of_a_build)?;
        let (outcome, old) = match reply.as_ref().and_then(triple) {
            Some(Triple { state: b"STALE", value: Some(old), .. }) => {
                log::error!(
                    "the build of {} failed, and its old value is served: {message}",
                    String::from_utf8_lossy(key)
                );
                (Outcome::Value(old.into()), Some(old))
            }
            Some(Triple { number: left, .. }) => {
                (Outcome::failed(&message, Duration::from_millis(u64::try_from(left).unwrap_or(0))), None)
            }
            None => (Outcome::failed(&message, Duration::ZERO), None),
        };
        if let Some(flight) = &mut flight {
            flight.outcome = Some(outcome);
        }
        match old {
            Some(old) => decoded(old),
            None => Err(failure.of_its_caller()),
        }
    }

    /// In a task of its own, which outlives the caller's.
    fn refresh_behind<T: Cacheable, E: fmt::Display + Send + 'static>(
        self: &Arc<Self>,
        mut lease: Lease,
        key: &[u8],
        o: Options,
        asked_at: u64,
        build: Build<T, E>,
    ) {
        let place = match self.settings.background {
            Some(_) => None,
            None => match self.refreshing.clone().try_acquire_owned() {
                Ok(place) => Some(place),
                Err(_) => return, // left to a later caller
            },
        };
        let (engine, key) = (self.clone(), key.to_vec());
        let work = async move {
            let _place = place;
            if !lease.hold().await {
                return; // its turn came too late: another caller has been told to build, or will be
            }
            let name = String::from_utf8_lossy(&key).into_owned();
            let done = building::caught(engine.build::<T, E>(lease, None, &key, &o, asked_at, build)).await;
            let why = match &done {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => message_of(error, true),
                Err(panic) => building::text_of(panic).into(),
            };
            log::error!("refreshing {name} failed: {why}");
        };
        match &self.settings.background {
            None => drop(tokio::spawn(work)),
            Some(run) => {
                // Not what the caller asked for, so its panic is not the caller's. The lease goes with what was not run.
                let run = AssertUnwindSafe(|| run(Box::pin(work)));
                if let Err(panic) = catch_unwind(run) {
                    log::error!("`background` panicked: {}", building::text_of(&panic));
                }
            }
        }
    }

    async fn without_server<T: Cacheable, E: fmt::Display + Send + 'static>(
        self: &Arc<Self>,
        mut flight: Flight,
        key: &[u8],
        o: &Options,
        deadline: Instant,
        build: Build<T, E>,
    ) -> Result<T, Error<E>> {
        let place = if building::is_degraded() {
            None
        } else {
            match tokio::time::timeout_at(deadline, self.degrading.acquire()).await {
                Ok(place) => place.ok(),
                Err(_) => {
                    drop(flight);
                    return self.impatient(key, o, build).await;
                }
            }
        };
        let began = Instant::now();
        let made = self.run(key, true, build).await;
        drop(place);
        match made {
            Made::Value(data, shared) => {
                flight.outcome = Some(if shared { Outcome::Value(data.clone()) } else { Outcome::Private });
                decoded(&data)
            }
            // Without an outcome each of the others would build in vain, too.
            Made::Failed(failure, text) => {
                self.teller.build_failed(key, began.elapsed(), &text);
                flight.outcome = Some(Outcome::failed(&text, Duration::ZERO));
                drop(flight);
                Err(failure.of_its_caller())
            }
        }
    }

    async fn run<T: Cacheable, E: fmt::Display + Send + 'static>(
        self: &Arc<Self>,
        key: &[u8],
        degraded: bool,
        build: Build<T, E>,
    ) -> Made<E> {
        let with_text = self.settings.error_text;
        let encoded = async {
            let value = build().await.map_err(|error| {
                let text = message_of(&error, with_text);
                (Error::Build(error), text)
            })?;
            let data = value.encode().map_err(Error::Serialization);
            data.and_then(|data| fits("an encoded value", data.len()).map(|()| data)).map_err(|error| {
                let text = message_of(&error, with_text);
                (error, text)
            })
        };
        building::run(self.id(), key, degraded, encoded).await
    }

    /// Not stored, but decoded from a copy as everybody's is.
    async fn alone<T: Cacheable, E: fmt::Display + Send + 'static>(
        self: &Arc<Self>,
        key: &[u8],
        build: Build<T, E>,
    ) -> Result<T, Error<E>> {
        match self.run(key, false, build).await {
            Made::Value(data, _) => decoded(&data),
            Made::Failed(failure, _) => Err(failure.of_its_caller()),
        }
    }

    async fn impatient<T: Cacheable, E: fmt::Display + Send + 'static>(
        self: &Arc<Self>,
        key: &[u8],
        o: &Options,
        build: Build<T, E>,
    ) -> Result<T, Error<E>> {
        if o.on_timeout == Some(OnTimeout::Build) {
            return self.alone(key, build).await;
        }
        let inside: Vec<String> =
            building::keys(self.id()).iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
        let hint = match inside.join(" and ") {
            none if none.is_empty() => none,
            keys => format!(" while building {keys}: two builds may be waiting for each other"),
        };
        let (key, wait) = (String::from_utf8_lossy(key), o.patience());
        Err(Error::WaitTimeout(format!("{key} was not there within {wait:?}{hint}")))
    }

    fn forget(&self, keys: Option<&[Vec<u8>]>) {
        if let Some(near) = &self.near {
            near.forget(keys);
        }
        self.flights.forget(keys);
    }

    fn say_out(&self, key: &[u8], why: String) {
        if !self.out.swap(true, Ordering::Relaxed) {
            log::error!("the server is out, values are built here, {} at once: {why}", self.settings.degrade_limit);
        }
        self.teller.failed("degraded", key, why);
    }
}

fn decoded<T: Cacheable, E>(data: &[u8]) -> Result<T, Error<E>> {
    T::decode(data).map_err(Error::Serialization)
}

/// What FILL is told beside the value.
fn writing(o: &Options) -> Vec<String> {
    let mut words = Vec::new();
    let mut say = |name: &str, number: u64| words.extend([name.to_owned(), number.to_string()]);
    // What is fresh for ever has no windows behind it: the server refuses them without a deadline.
    if let Some(ttl) = o.ttl.flatten() {
        match ttl.is_zero() {
            true => say("PXAT", 1), // for those who wait, not to be kept
            false => say("PX", ms(ttl)),
        }
        for (name, window) in [("SWR", o.swr), ("SIE", o.sie)] {
            if let Some(window) = window.filter(|window| !window.is_zero()) {
                say(name, ms(window));
            }
        }
        if let Some(percent) = o.jitter.filter(|percent| *percent > 0) {
            say("JITTER", u64::from(percent));
        }
    }
    if let Some(version) = o.version {
        say("VERSION", version);
    }
    if let Some(tags) = o.tags.as_ref().filter(|tags| !tags.is_empty()) {
        say("TAGS", tags.len() as u64);
        words.extend(tags.iter().cloned());
    }
    words
}
