use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;

/// What becomes of a caller whose `wait` is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTimeout {
    /// [`Error::WaitTimeout`](crate::Error::WaitTimeout).
    #[default]
    Raise,
    /// It builds for itself, and nothing is stored.
    Build,
}

/// What a call may say. `Options::new().ttl(…).swr(…)`; what is not said is as in [`Settings::defaults`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub(crate) ttl: Option<Option<Duration>>,
    pub(crate) swr: Option<Duration>,
    pub(crate) sie: Option<Duration>,
    pub(crate) jitter: Option<u8>,
    pub(crate) tags: Option<Arc<[String]>>,
    pub(crate) version: Option<u64>,
    pub(crate) group: Option<Arc<str>>,
    pub(crate) wait: Option<Duration>,
    pub(crate) lease: Option<Duration>,
    pub(crate) backoff: Option<Duration>,
    pub(crate) on_timeout: Option<OnTimeout>,
}

/// What servers take: for more they close the connection, as if they were gone.
pub(crate) fn fits<E>(what: &str, bytes: usize) -> Result<(), Error<E>> {
    const LARGEST: usize = 512 << 20;
    if bytes > LARGEST {
        return Err(Error::Usage(format!("{what} takes at most 512 MiB, not {bytes} bytes")));
    }
    Ok(())
}

impl Options {
    pub fn new() -> Self {
        Self::default()
    }

    /// Fresh so long. Zero: for those who wait now, not kept. `None`, and unless it is said: for ever.
    pub fn ttl(mut self, ttl: impl Into<Option<Duration>>) -> Self {
        self.ttl = Some(ttl.into());
        self
    }

    /// Stale-while-revalidate: so long after `ttl` the old value is served while one caller rebuilds.
    pub fn swr(mut self, swr: Duration) -> Self {
        self.swr = Some(swr);
        self
    }

    /// Stale-if-error: so long after `ttl` the old value is served while rebuilds fail.
    pub fn sie(mut self, sie: Duration) -> Self {
        self.sie = Some(sie);
        self
    }

    /// Percent by which chance shortens `ttl`; more than 100 is 100.
    pub fn jitter(mut self, percent: u8) -> Self {
        self.jitter = Some(percent.min(100));
        self
    }

    /// Labels to invalidate by. Given to [`Corral::cached`](crate::Corral::cached), they are made of the arguments:
    /// `day:{day}`.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// How new the source was: older values are not stored over newer ones, see [`Corral::outdate`](crate::Corral::outdate).
    pub fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// The group of rebuilds whose limit and circuit breaker apply.
    pub fn group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Patience for somebody else's build. 10 s unless it is said.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// How long a holder that vanished without closing its connection is waited for. Renewed while the build runs. 10 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// After a failed build, so long nobody tries again. The server's setting unless it is said.
    pub fn backoff(mut self, backoff: Duration) -> Self {
        self.backoff = Some(backoff);
        self
    }

    pub fn on_timeout(mut self, on_timeout: OnTimeout) -> Self {
        self.on_timeout = Some(on_timeout);
        self
    }

    /// These, and the others where these say nothing.
    pub(crate) fn over(&self, defaults: &Options) -> Options {
        Options {
            ttl: self.ttl.or(defaults.ttl),
            swr: self.swr.or(defaults.swr),
            sie: self.sie.or(defaults.sie),
            jitter: self.jitter.or(defaults.jitter),
            tags: self.tags.clone().or_else(|| defaults.tags.clone()),
            version: self.version.or(defaults.version),
            group: self.group.clone().or_else(|| defaults.group.clone()),
            wait: self.wait.or(defaults.wait),
            lease: self.lease.or(defaults.lease),
            backoff: self.backoff.or(defaults.backoff),
            on_timeout: self.on_timeout.or(defaults.on_timeout),
        }
    }

    /// What the server would refuse: a FILL would be refused to every next builder, too.
    pub(crate) fn check(&self) -> Result<(), Error> {
        const DAY: Duration = Duration::from_secs(86_400);
        let least = Duration::from_millis(1);
        if let Some(lease) = self.lease.filter(|lease| !(least..=DAY).contains(lease)) {
            return Err(Error::Usage(format!("`lease` is 1 ms to 24 h, not {lease:?}")));
        }
        if let Some(backoff) = self.backoff.filter(|backoff| *backoff > DAY) {
            return Err(Error::Usage(format!("`backoff` is at most 24 h, not {backoff:?}")));
        }
        if let Some(version) = self.version.filter(|version| *version >= 1 << 53) {
            return Err(Error::Usage(format!("`version` is 0 to 2^53-1, not {version}")));
        }
        let tags = self.tags.as_deref().unwrap_or_default();
        if tags.len() > 32 {
            return Err(Error::Usage(format!("32 `tags` are allowed, not {}", tags.len())));
        }
        match tags.iter().find(|tag| !(1..=255).contains(&tag.len())) {
            None => Ok(()),
            Some(tag) => Err(Error::Usage(format!("each of `tags` takes 1 to 255 bytes, and one has {}", tag.len()))),
        }
    }

    pub(crate) fn patience(&self) -> Duration {
        self.wait.unwrap_or(Duration::from_secs(10))
    }

    pub(crate) fn length(&self) -> Duration {
        self.lease.unwrap_or(Duration::from_secs(10))
    }
}

/// What to do while the server is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Degrade {
    /// Build here, a limited number at once.
    #[default]
    Build,
    /// [`Error::Unavailable`](crate::Error::Unavailable).
    Raise,
}

/// For [`Settings::on_event`]. Names: hit stale refresh built waited failed degraded not_stored.
#[derive(Clone, Debug)]
pub struct Event {
    pub name: &'static str,
    pub key: String,
    /// How long it was built or waited for.
    pub took: Option<Duration>,
    pub error: Option<String>,
}

pub(crate) type Hook = Arc<dyn Fn(Event) + Send + Sync>;
/// A refresh, to be run behind its caller.
pub type Refresh = Pin<Box<dyn Future<Output = ()> + Send>>;
pub(crate) type Background = Arc<dyn Fn(Refresh) + Send + Sync>;

/// What a [`Corral`](crate::Corral) may be told when it is made.
#[derive(Clone)]
pub struct Settings {
    pub(crate) defaults: Options,
    pub(crate) degrade: Degrade,
    pub(crate) degrade_limit: usize,
    pub(crate) max_waiting: usize,
    pub(crate) local: usize,
    pub(crate) local_ttl: Duration,
    pub(crate) background: Option<Background>,
    pub(crate) background_limit: usize,
    pub(crate) on_event: Option<Hook>,
    pub(crate) error_text: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            defaults: Options::new(),
            degrade: Degrade::Build,
            degrade_limit: 8,
            max_waiting: 1_000,
            local: 0,
            local_ttl: Duration::from_secs(1),
            background: None,
            background_limit: 8,
            on_event: None,
            error_text: true,
        }
    }
}

impl Settings {
    pub fn new() -> Self {
        Self::default()
    }

    /// What calls mean that do not say otherwise.
    pub fn defaults(mut self, defaults: Options) -> Self {
        self.defaults = defaults;
        self
    }

    pub fn degrade(mut self, degrade: Degrade) -> Self {
        self.degrade = degrade;
        self
    }

    /// Builds at once in this process while the server is gone. 8; at least 1.
    pub fn degrade_limit(mut self, builds: usize) -> Self {
        self.degrade_limit = builds.max(1);
        self
    }

    /// Connections of this process that may be parked at once; beyond, callers ask every 20 to 100 ms. 1,000.
    pub fn max_waiting(mut self, connections: usize) -> Self {
        self.max_waiting = connections;
        self
    }

    /// Near cache: so many entries are kept in this process. 0: none.
    pub fn local(mut self, entries: usize) -> Self {
        self.local = entries;
        self
    }

    /// For how long at most an entry is kept in this process. 1 s.
    pub fn local_ttl(mut self, local_ttl: Duration) -> Self {
        self.local_ttl = local_ttl;
        self
    }

    /// What runs a refresh behind its caller; tasks of the runtime unless it is said.
    pub fn background(mut self, run: impl Fn(Refresh) + Send + Sync + 'static) -> Self {
        self.background = Some(Arc::new(run));
        self
    }

    /// How many refreshes run at once as tasks of the runtime. One beyond it is left to a later caller. 8; at least 1.
    pub fn background_limit(mut self, refreshes: usize) -> Self {
        self.background_limit = refreshes.max(1);
        self
    }

    pub fn on_event(mut self, hook: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(hook));
        self
    }

    /// `false`: a failed build's type is told to other processes, not its text.
    pub fn error_text(mut self, error_text: bool) -> Self {
        self.error_text = error_text;
        self
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("defaults", &self.defaults).finish_non_exhaustive()
    }
}
