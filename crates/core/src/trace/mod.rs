//! What a node was told, as records: written beside a running node, and told again to another one, of which the same
//! steps must come.
//!
//! A file is [`HEAD`] and then records, each `[length: u32][input, in bincode][length: u32][what came of it, as text]`;
//! numbers are little-endian. The last may be torn. Values are told by their length and a hash: in a replay, bytes of that length
//! stand for them, and begin with the hash. Nothing else is left out, the server's answers and chance included. Hits are
//! no inputs.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec::MarksRecord;
use crate::lease::Lease;
use crate::node::event::Event;
use crate::node::name::Name;
use crate::node::rooms::WaiterId;
use crate::node::{Parking, Writes};
use crate::policy::Policy;
use crate::request::Request;
use crate::settings::Settings;
use crate::time::{Moment, UnixMs};
use crate::token::Token;

mod outline;
mod recorder;
mod replay;

pub use recorder::{Recorder, Sink};
pub use replay::{replay, Difference, Replayed};

/// How a file begins.
pub const HEAD: &[u8] = b"corral trace 1\n";

/// One thing that a node was told.
#[derive(Serialize, Deserialize, Debug)]
enum Input<'a> {
    Request {
        #[serde(borrow)]
        key: Shown<'a>,
        /// Its value, if it has one, is `value`.
        request: Request<'a>,
        value: Option<Shadow>,
        /// What the server was asked meanwhile.
        answers: Vec<Answered>,
    },
    Event {
        event: Event,
        moment: Moment,
    },
    Turn {
        moment: Moment,
        is_paused: bool,
    },
    NextVisit {
        moment: Moment,
    },
    VisitLater {
        db: u32,
        name: Name,
        moment: Moment,
    },
    MovedAway {
        db: u32,
        name: &'a [u8],
    },
    ClusterIsDown {
        db: u32,
        name: &'a [u8],
    },
    BeginRelease {
        moment: Moment,
        used: Option<u64>,
        is_turn: bool,
    },
    NextRelease {
        moment: Moment,
    },
    EndRelease {
        moment: Moment,
    },
    TakeFloor,
    Applied {
        db: u32,
        name: &'a [u8],
        before: Option<Token>,
        lease: Option<Cow<'a, Lease>>,
        youngest: Option<Token>,
        moment: Moment,
    },
    AppliedMarks {
        marks: Cow<'a, MarksRecord>,
        moment: Moment,
    },
    GiveUp {
        waiter: WaiterId,
        moment: Moment,
    },
    Gone {
        waiter: WaiterId,
    },
    NotParked {
        waiter: WaiterId,
    },
    InvalidateTags {
        tags: Vec<&'a [u8]>,
        swr_ms: Option<u64>,
        moment: Moment,
    },
    Configure {
        settings: Settings,
    },
    ConfigureGroups {
        policies: BTreeMap<Arc<[u8]>, Policy>,
    },
    /// Something outside had a tag.
    TagsUsed,
}

/// A key as it was shown to the node.
#[derive(Serialize, Deserialize, Debug)]
struct Shown<'a> {
    db: u32,
    name: &'a [u8],
    held: HeldAs,
    /// The entry's header.
    header: Vec<u8>,
    value: Option<Shadow>,
    expires: UnixMs,
    moment: Moment,
    is_paused: bool,
}

#[derive(Clone, Copy, Serialize, Deserialize, Debug)]
enum HeldAs {
    Nothing,
    Entry,
    String(Option<Shadow>),
    Foreign,
}

/// One answer of the server's.
#[derive(Clone, Serialize, Deserialize, Debug)]
enum Answered {
    Random(f64),
    Writes(Writes),
    Permits(bool),
    Parking(Parking),
}

/// What a trace tells of a value.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
struct Shadow {
    length: u64,
    hash: u64,
}

impl Shadow {
    /// Of a value: FNV-1a, as many bytes of it as the value has.
    fn of_value(value: &[u8]) -> Self {
        let hash = value
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        Self::new(value.len(), &hash.to_le_bytes())
    }

    /// Of the bytes that stand for a value.
    fn of_stand_in(bytes: &[u8]) -> Self {
        Self::new(bytes.len(), bytes)
    }

    fn new(length: usize, bytes: &[u8]) -> Self {
        let mut hash = [0; 8];
        for (to, from) in hash.iter_mut().zip(bytes).take(length) {
            *to = *from;
        }
        Self { length: length as u64, hash: u64::from_le_bytes(hash) }
    }

    fn stand_in(self) -> Arc<[u8]> {
        let mut bytes = alloc::vec![0; usize::try_from(self.length).unwrap_or(0)];
        for (to, from) in bytes.iter_mut().zip(self.hash.to_le_bytes()) {
            *to = from;
        }
        bytes.into()
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(from).map(Name::new)
    }
}

#[cfg(test)]
mod tests;
