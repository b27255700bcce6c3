//! Every word that the stage knows, with what the server would be told of it.

use corral_core::error::{legible, Error};
use corral_core::request::OPTIONS;
use corral_testkit::Reply;

use super::connection::{word, Words};
use super::stage::NodeStage;
use super::{cache, config, described, keyspace, script, session};
use crate::world::{Client, Place};

pub struct Command {
    pub name: &'static str,
    /// Words with the name; below 0: at least so many.
    arity: isize,
    /// `readonly`: what it read is tracked.
    pub is_read: bool,
    /// `write` or `may-replicate`.
    pub is_held_by_a_pause: bool,
    /// `write`: refused where the server refuses writes.
    is_write: bool,
    /// `deny-oom`.
    needs_memory: bool,
    pub run: Run,
}

/// `None`: the client is parked.
pub type Run = fn(&mut NodeStage, Call) -> Result<Option<Reply>, Error>;

/// One command with its arguments.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// 0 in a script.
    pub client: Client,
    pub db: u32,
    pub is_resp3: bool,
    pub in_transaction: bool,
    pub arguments: &'a [&'a [u8]],
}

impl Call<'_> {
    /// The key that comes first.
    pub fn place(&self) -> Place {
        (self.db, self.arguments[0].to_vec())
    }

    /// All arguments as keys.
    pub fn places(&self) -> impl Iterator<Item = Place> + '_ {
        self.arguments.iter().map(|name| (self.db, name.to_vec()))
    }

    /// Pairs as the caller's protocol has them.
    pub fn map(&self, pairs: Vec<(&str, Reply)>) -> Reply {
        let pairs = pairs.into_iter().map(|(name, value)| (word(name), value));
        match self.is_resp3 {
            true => Reply::Map(pairs.collect()),
            false => Reply::List(pairs.flat_map(|(name, value)| [name, value]).collect()),
        }
    }
}

impl Command {
    const fn new(name: &'static str, arity: isize, run: Run) -> Self {
        let is_read = false;
        Self { name, arity, is_read, is_held_by_a_pause: false, is_write: false, needs_memory: false, run }
    }

    const fn read(self) -> Self {
        Self { is_read: true, ..self }
    }

    const fn may_replicate(self) -> Self {
        Self { is_held_by_a_pause: true, ..self }
    }

    const fn write(self) -> Self {
        Self { is_held_by_a_pause: true, is_write: true, ..self }
    }

    const fn deny_oom(self) -> Self {
        Self { needs_memory: true, ..self }
    }

    /// Not queued after MULTI.
    pub fn ends_a_transaction(&self) -> bool {
        ["MULTI", "EXEC", "DISCARD", "WATCH"].contains(&self.name)
    }

    /// What is said of a connection, or of the server, is not.
    pub fn is_allowed_in_scripts(&self) -> bool {
        self.name.starts_with("CACHE.") || self.is_read || self.is_write
    }
}

static COMMANDS: [Command; 49] = [
    Command::new("CACHE.GETORLOCK", -2, cache::get_or_lock),
    Command::new("CACHE.MGETORLOCK", -3, cache::mget_or_lock),
    Command::new("CACHE.FILL", -4, cache::fill).may_replicate(),
    Command::new("CACHE.TOUCH", -3, cache::touch).may_replicate(),
    Command::new("CACHE.FAIL", -4, cache::fail).may_replicate(),
    Command::new("CACHE.PASS", -3, cache::pass).may_replicate(),
    Command::new("CACHE.RELEASE", 3, cache::release).may_replicate(),
    Command::new("CACHE.RENEW", -4, cache::renew).write(),
    Command::new("CACHE.SET", -3, cache::set).write().deny_oom(),
    Command::new("CACHE.GET", 2, cache::get).read(),
    Command::new("CACHE.MGET", -2, cache::mget).read(),
    Command::new("CACHE.INVALIDATE", -2, cache::invalidate).write(),
    Command::new("CACHE.OUTDATE", -3, cache::outdate).write().deny_oom(),
    Command::new("CACHE.INVALIDATETAG", -3, cache::invalidate_tag).write().deny_oom(),
    Command::new("CACHE.TAGS", -2, cache::tags),
    Command::new("CACHE.INFO", 2, described::info).read(),
    Command::new("CACHE.LEASES", -1, described::leases),
    Command::new("CACHE.TOP", -1, described::top),
    Command::new("CACHE.VERSION", 1, described::version),
    Command::new("CACHE.APPLY", -3, cache::apply),
    Command::new("CACHE.PROBE", 2, cache::probe).write().deny_oom(),
    Command::new("INFO", 2, described::server_info),
    Command::new("CONFIG", -3, config::config),
    Command::new("PING", 1, session::ping),
    Command::new("HELLO", 2, session::hello),
    Command::new("SELECT", 2, session::select),
    Command::new("CLIENT", -2, session::client),
    Command::new("DEBUG", 3, session::debug),
    Command::new("MULTI", 1, session::multi),
    Command::new("EXEC", 1, session::exec),
    Command::new("DISCARD", 1, session::discard),
    Command::new("WATCH", -2, session::watch),
    Command::new("EVAL", -3, script::eval).may_replicate(),
    Command::new("SUBSCRIBE", -2, session::subscribe),
    Command::new("SSUBSCRIBE", -2, session::subscribe_shard),
    Command::new("GET", 2, keyspace::get).read(),
    Command::new("SET", -3, keyspace::set).write().deny_oom(),
    Command::new("RPUSH", -3, keyspace::push).write().deny_oom(),
    Command::new("DEL", -2, keyspace::delete).write(),
    Command::new("UNLINK", -2, keyspace::delete).write(),
    Command::new("EXISTS", -2, keyspace::exists).read(),
    Command::new("TYPE", 2, keyspace::type_of).read(),
    Command::new("PTTL", 2, keyspace::time_to_live).read(),
    Command::new("PEXPIRE", 3, keyspace::expire).write(),
    Command::new("PERSIST", 2, keyspace::persist).write(),
    Command::new("RENAME", 3, keyspace::rename).write(),
    Command::new("MOVE", 3, keyspace::move_to_database).write(),
    Command::new("FLUSHALL", 1, keyspace::flush_all).write(),
    Command::new("SWAPDB", 3, keyspace::swap).write(),
];

pub fn named(name: &[u8]) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| name.eq_ignore_ascii_case(command.name.as_bytes()))
}

/// The command, if the server would run it now.
pub fn checked(stage: &NodeStage, words: &Words) -> Result<&'static Command, Error> {
    let command = named(&words[0]).ok_or_else(|| said(&format!("ERR unknown command '{}'", legible(&words[0]))))?;
    let (given, wanted) = (words.len(), command.arity.unsigned_abs());
    if given < wanted || (given > wanted && command.arity > 0) {
        let name = command.name.to_lowercase();
        return Err(said(&format!("ERR wrong number of arguments for '{name}' command")));
    }
    if command.needs_memory && stage.config.is_full() {
        return Err(said(config::OOM));
    }
    if command.is_write && stage.config.lacks_replicas() {
        return Err(said(config::NOREPLICAS));
    }
    Ok(command)
}

/// Whether a story can be played that takes this: a command or an option, as CACHE.VERSION lists them.
pub fn offers(need: &str) -> bool {
    OPTIONS.contains(&need) || named(need.as_bytes()).is_some()
}

/// The module's commands.
pub fn of_the_module() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|command| command.name).filter(|name| name.starts_with("CACHE."))
}

/// The server's own words.
pub fn said(sentence: &str) -> Error {
    Error::Server(sentence.as_bytes().into())
}
