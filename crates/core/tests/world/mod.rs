//! A virtual server around one node: what the shell does, written as simply as possible.
//!
//! Keys are a map, clocks are numbers, a parked client is a line in a book. Everything that the real shell must keep to
//! is asserted here: a waiter is answered once, an entry changes only where the node says so, a replica that is sent the
//! codec's bytes holds the same.

use std::collections::{BTreeMap, BTreeSet};

use corral_core::answer::{Answer, Payload};
use corral_core::entry::Entry;
use corral_core::node::event::Event;
use corral_core::node::name::Name;
use corral_core::node::outbox::Outcome;
use corral_core::node::rooms::WaiterId;
use corral_core::node::{Grant, Message, Node, Parking, Reply, Word, Writes};
use corral_core::policy::Policies;
use corral_core::settings::Settings;
use corral_core::time::{Moment, UnixMs};
use corral_core::token::Token;

pub mod calls;
pub mod clients;
pub mod executor;
pub mod others;
pub mod replica;

use replica::Replica;

pub type Client = u64;
pub type Place = (u32, Vec<u8>);

/// Where every world begins, in ms since the epoch.
pub const START_MS: u64 = 1_700_000_000_000;

pub struct World {
    pub node: Node,
    pub keys: BTreeMap<Place, Stored>,
    pub wall_us: u64,
    pub steady_us: u64,
    pub is_paused: bool,
    pub server: Server,
    pub policies: Policies,
    pub parked: BTreeMap<WaiterId, Parked>,
    /// Answers on their way to clients: released by the node, not yet written.
    pub in_flight: Vec<Delivery>,
    /// What parked clients were told, each once.
    pub told: BTreeMap<Client, Vec<String>>,
    /// The last token that each client was granted for a key.
    pub tokens: BTreeMap<(Client, Place), Token>,
    pub events: Vec<KeyEvent>,
    pub published: Vec<Message>,
    /// Keys whose WATCH and tracking were told.
    pub signalled: BTreeSet<Place>,
    pub replica: Option<Replica>,
    /// The most effects that one step named.
    pub most_effects: usize,
    pub turns: u64,
    /// How long the server did nothing, on purpose of a test.
    pub busy_ms: u64,
}

/// What one key holds, and its deadline in the server.
#[derive(Clone, PartialEq, Debug)]
pub struct Stored {
    pub value: Value,
    pub expires: UnixMs,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Entry(Entry),
    Text(Vec<u8>),
    /// Another type; how many elements it has.
    List(usize),
}

/// A keyspace event.
#[derive(Clone, Debug)]
pub struct KeyEvent {
    pub word: Word,
    pub place: Place,
}

#[derive(Clone, Debug)]
pub struct Parked {
    pub client: Client,
    pub place: Place,
    pub since_us: u64,
    pub block_ms: u64,
}

#[derive(Clone, Debug)]
pub struct Delivery {
    pub client: Client,
    pub place: Place,
    pub outcome: Outcome,
    pub grant: Option<Grant>,
}

/// What the server says when it is asked.
#[derive(Debug)]
pub struct Server {
    pub writes: Writes,
    pub parking: Parking,
    /// Clients whose users may no longer ask.
    pub forbidden: BTreeSet<Client>,
    pub clients: BTreeMap<WaiterId, Client>,
    /// What chance draws; a generator where there is none.
    pub random: Option<f64>,
    pub seed: u64,
}

impl World {
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        Self {
            node: Node::new(settings),
            keys: BTreeMap::new(),
            wall_us: START_MS * 1000,
            steady_us: 5_000_000_000,
            is_paused: false,
            server: Server {
                writes: Writes::Allowed,
                parking: Parking::Possible,
                forbidden: BTreeSet::new(),
                clients: BTreeMap::new(),
                random: Some(1.0),
                seed: 1,
            },
            policies: Policies::new(),
            parked: BTreeMap::new(),
            in_flight: Vec::new(),
            told: BTreeMap::new(),
            tokens: BTreeMap::new(),
            events: Vec::new(),
            published: Vec::new(),
            signalled: BTreeSet::new(),
            replica: None,
            most_effects: 0,
            turns: 0,
            busy_ms: 0,
        }
    }

    /// The same with `corral.groups`.
    pub fn grouped(groups: &str) -> Self {
        let mut world = Self::new();
        world.configure(groups);
        world
    }

    pub fn configure(&mut self, groups: &str) {
        let policies = corral_core::policy::parse(groups.as_bytes(), self.node.settings.lease_max_ms).unwrap();
        self.node.configure_groups(&policies);
        self.policies = policies;
        self.settle();
    }

    pub fn moment(&self) -> Moment {
        Moment { wall_us: self.wall_us, steady_us: self.steady_us }
    }

    pub fn now(&self) -> UnixMs {
        self.moment().now()
    }

    pub fn event(&mut self, event: Event) {
        let moment = self.moment();
        self.node.event(event, moment);
    }

    /// The entry of a key, if it holds one.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match self.keys.get(&place(key)).map(|stored| &stored.value) {
            Some(Value::Entry(entry)) => Some(entry),
            _ => None,
        }
    }

    pub fn has(&self, key: &str) -> bool {
        self.keys.contains_key(&place(key))
    }

    /// The events since they were last asked for.
    pub fn take_events(&mut self) -> Vec<String> {
        let events = std::mem::take(&mut self.events);
        events.iter().map(|event| format!("{} {}", event.word.text().to_str().unwrap(), text(&event.place.1))).collect()
    }

    /// The messages since they were last asked for: `key STATE number`.
    pub fn take_published(&mut self) -> Vec<String> {
        let messages = std::mem::take(&mut self.published);
        let line = |message: &Message| format!("{} {} {}", text(&message.name), message.state.word(), message.number);
        messages.iter().map(line).collect()
    }
}

/// A key of database 0.
pub fn place(key: &str) -> Place {
    (0, key.as_bytes().to_vec())
}

pub fn name_of(place: &Place) -> Name {
    Name::new(&place.1)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An answer as a line: state, value or message, number. Tokens are left out: they are looked up by who was granted.
pub fn line(answer: &Answer) -> String {
    let value = match answer {
        Answer::Hit { value: Payload::String, .. } => Some("(string)".to_string()),
        answer => answer.payload().map(text),
    };
    let state = answer.state().word();
    let number = match answer.granted() {
        Some(_) => None,
        None => Some(answer.number().to_string()),
    };
    [Some(state.to_string()), value, number].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

pub fn outcome_line(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answer(answer) => line(answer),
        Outcome::Error(error) => error.sentence(),
    }
}

pub fn reply_line(reply: &Reply) -> String {
    match reply {
        Reply::Nothing => "nothing".to_string(),
        Reply::Answer(answer) => line(answer),
        Reply::Park { .. } => "parked".to_string(),
        Reply::Ok => "OK".to_string(),
        Reply::Nil => "nil".to_string(),
        Reply::Number(number) => number.to_string(),
        Reply::Error(error) => error.sentence(),
    }
}
