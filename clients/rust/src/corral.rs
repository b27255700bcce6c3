use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use redis::{cmd, Cmd, IntoConnectionInfo};
use serde::de::DeserializeOwned;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::building::{self, Build};
use crate::cached::Cached;
use crate::error::{message_of, Error};
use crate::flight::{build_failed, Boarded, Flight, Flights, Outcome};
use crate::lease::{ms, Answer, Lease, Leases};
use crate::near::Near;
use crate::node::Features;
use crate::options::{Background, Degrade, OnTimeout, Options, Refresh, Settings};
use crate::server::{need, triple, Server, Triple};
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
        let parking = Semaphore::new(settings.max_waiting.min(Semaphore::MAX_PERMITS));
        let engine = Engine {
            leases: Leases { server: server.clone(), parking, teller: teller.clone() },
            server,
            teller,
            flights: Flights::default(),
            near: (settings.local > 0).then(|| Near::new(settings.local, settings.local_ttl)),
            degrading: Semaphore::new(settings.degrade_limit),
            refreshing: Arc::new(Semaphore::new(settings.background_limit)),
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
        let (made, shared) = building::run(self.id(), key, false, async { build().await }).await;
        let value = match made {
            Ok(value) => value,
            Err(error) => {
                let text = self.text_of(&error);
                self.teller.build_failed(key, began.elapsed(), &text);
                return self.failed(lease, flight, key, o, text, Error::Build(error)).await;
            }
        };
        let stored = value.encode().map_err(Error::Serialization).and_then(|data| {
            let words = if shared { Some(writing(lease.features().as_deref(), o)?) } else { None };
            Ok((data, words))
        });
        let (data, words) = match stored {
            Ok(stored) => stored,
            // A lease that were released would have every waiter build it again.
            Err(error) => {
                let text = message_of("Serialization", Some(error.to_string()));
                self.teller.build_failed(key, began.elapsed(), &text);
                return self.failed(lease, flight, key, o, text, error.of_a_build()).await;
            }
        };
        self.teller.took("built", key, began.elapsed());
        let data: Arc<[u8]> = data.into();
        if let Some(flight) = &mut flight {
            flight.outcome = Some(if shared { Outcome::Value(data.clone()) } else { Outcome::Private });
        }
        let Some(words) = words else {
            lease.conclude("CACHE.PASS", Cmd::new()).await.map_err(Error::of_a_build)?;
            return decoded(&data);
        };
        let mut rest = Cmd::new();
        rest.arg(&*data);
        for word in words {
            rest.arg(word);
        }
        let sent = Instant::now();
        let reply = lease.conclude("CACHE.FILL", rest).await.map_err(Error::of_a_build)?;
        if let (Some(near), Some(reply)) = (&self.near, reply) {
            let fresh = o.ttl.flatten().map(|ttl| ttl * u32::from(100 - o.jitter.unwrap_or(0)) / 100);
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
        error: Error<E>,
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
            None => Err(error),
        }
    }

    /// In a task of its own, which outlives the caller's.
    fn refresh_behind<T: Cacheable, E: fmt::Display + Send + 'static>(
        self: &Arc<Self>,
        lease: Lease,
        key: &[u8],
        o: Options,
        asked_at: u64,
        build: Build<T, E>,
    ) {
        let (engine, key) = (self.clone(), key.to_vec());
        let work = async move {
            if lease.has_run_out() {
                return; // its turn came too late: another caller has been told to build, or will be
            }
            let done: Result<T, Error<E>> = engine.build(lease, None, &key, &o, asked_at, build).await;
            if let Err(error) = done {
                log::error!("refreshing {} failed: {error}", String::from_utf8_lossy(&key));
            }
        };
        self.behind(self.settings.background.as_ref(), Box::pin(work));
    }

    fn behind(&self, hook: Option<&Background>, work: Refresh) {
        if let Some(run) = hook {
            return run(work);
        }
        let places = self.refreshing.clone();
        tokio::spawn(async move {
            let _place = places.acquire_owned().await; // never closed
            work.await;
        });
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
        let (made, shared) = building::run(self.id(), key, true, async { build().await }).await;
        drop(place);
        match made {
            Ok(value) => {
                let data: Arc<[u8]> = match value.encode() {
                    Ok(data) => data.into(),
                    // Without an outcome each of the others would build what cannot be encoded, too.
                    Err(error) => {
                        let message = message_of("Serialization", Some(error.to_string()));
                        self.teller.build_failed(key, began.elapsed(), &message);
                        flight.outcome = Some(Outcome::failed(&message, Duration::ZERO));
                        return Err(Error::Serialization(error));
                    }
                };
                flight.outcome = Some(if shared { Outcome::Value(data.clone()) } else { Outcome::Private });
                decoded(&data)
            }
            Err(error) => {
                let message = self.text_of(&error);
                self.teller.build_failed(key, began.elapsed(), &message);
                flight.outcome = Some(Outcome::failed(&message, Duration::ZERO));
                Err(Error::Build(error))
            }
        }
    }

    /// Not stored, but decoded from a copy as everybody's is.
    async fn alone<T: Cacheable, E>(self: &Arc<Self>, key: &[u8], build: Build<T, E>) -> Result<T, Error<E>> {
        let value = building::run(self.id(), key, false, async { build().await }).await.0.map_err(Error::Build)?;
        decoded(&value.encode().map_err(Error::Serialization)?)
    }

    async fn impatient<T: Cacheable, E>(
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

    fn text_of<E: fmt::Display>(&self, error: &E) -> Arc<str> {
        let path = std::any::type_name::<E>();
        let name = path.rsplit("::").next().unwrap_or(path);
        message_of(name, self.settings.error_text.then(|| error.to_string()))
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
fn writing(features: Option<&Features>, o: &Options) -> Result<Vec<String>, Error<Infallible>> {
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
    let needed = |word| features.map_or(Ok(()), |features| need(features, word));
    if let Some(version) = o.version {
        needed("cache.fill version")?;
        say("VERSION", version);
    }
    if let Some(tags) = o.tags.as_ref().filter(|tags| !tags.is_empty()) {
        needed("cache.fill tags")?;
        say("TAGS", tags.len() as u64);
        words.extend(tags.iter().cloned());
    }
    Ok(words)
}
