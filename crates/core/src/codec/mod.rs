//! The bytes of an entry outside the server's memory: in RDB files and DUMP payloads, in the AOF and on the
//! replication link.
//!
//! `[version: 1 byte][header, in bincode]`; the value travels beside it as a string of its own, so that a large one is
//! never copied into a header. bincode is unmaintained (RUSTSEC-2025-0141), which is bearable here: the input is bounded
//! before it is read, every number is range-checked after, and the golden bytes of its tests would show any change of format.
//! Arbitrary bytes give an error; they never panic nor allocate beyond their own length.
//!
//! | version | what |
//! |---|---|
//! | 1 | an entry, as the first Corral wrote it: read, not written any more |
//! | 2 | an entry: `[parts: which of the parts below follow][part]...` |
//! | 3 | the removal of a key |
//! | 4 | marks of tags, with the empty key |
//! | 5 | `[count][keyspace event]...[what they tell of, of version 2 or 3]`: replicated, never in a file's entry |

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::freshness::Times;
use crate::lease::Lease;
use crate::tag::{Intern, Tagged};
use crate::time::UnixMs;
use crate::token::Token;

mod first;
mod second;
#[cfg(test)]
mod tests;
mod wire;

pub use second::encode;
use wire::{moment, span, Reader, Wide, Writer};

/// What is written; a reader refuses versions it does not know.
pub const VERSION: u8 = 2;
const FIRST_VERSION: u8 = 1;
const REMOVAL: u8 = 3;
const MARKS: u8 = 4;
const TOLD: u8 = 5;

/// A header's limit in bytes: 32 tags, a failure message and a dozen numbers fit.
pub const HEADER_LIMIT: usize = 16 * 1024;
/// The same of the first version.
const FIRST_HEADER_LIMIT: usize = 4096;

/// The header of an entry with nothing in it: what stands in a file for one that could not be written, so that the
/// rest of the file can be read.
pub const NOTHING: [u8; 4] = [VERSION, 0, 0, 0];

/// Where an entry's value is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Debug)]
pub enum ValuePart {
    /// There is none.
    Absent,
    /// Beside the header.
    Carried,
    /// The receiver has it already: only the lease or the times changed.
    Kept,
}

/// One replicated or stored effect.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    Entry(Header),
    Removal,
    Marks(MarksRecord),
}

/// An entry without its value, as read from a header.
#[derive(Clone, PartialEq, Debug)]
pub struct Header {
    /// Everything but value and tags. Incomplete until [`Header::into_entry`] has put them in.
    entry: Entry,
    tags: Option<(Token, Vec<Box<[u8]>>)>,
    version: Option<u64>,
    times: Times,
    pub value: ValuePart,
    /// The deadline of the key in Redis, where the header says one: replicated effects do, stored entries leave it to
    /// Redis. `Some(UnixMs::NEVER)`: it has none.
    pub expire_at: Option<UnixMs>,
}

/// Tags marked together.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct MarksRecord {
    pub token: Token,
    pub at: UnixMs,
    /// How long old values serve after the mark at most, in ms.
    pub swr_ms: Option<u64>,
    pub tags: Vec<Box<[u8]>>,
}

/// Why bytes are no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    TooLong,
    Version(u8),
    Encoding,
    TrailingBytes,
    /// The named number or text is outside its range.
    Range(&'static str),
}

/// The bytes of a removal.
pub fn encode_removal() -> Vec<u8> {
    vec![REMOVAL]
}

/// The bytes of marks, each with the empty key: in pieces that fit into a header.
pub fn encode_marks(record: &MarksRecord) -> Vec<u8> {
    let mut out = Writer::new();
    out.put(MARKS);
    out.put((Wide::number(record.token.get()), Wide::moment(record.at), record.swr_ms, record.tags.len() as u32));
    record.tags.iter().for_each(|tag| out.put(&**tag));
    out.into_bytes()
}

/// An effect's bytes with the codes of the keyspace events that its server sent of it.
pub fn with_events(codes: &[u8], effect: Vec<u8>) -> Vec<u8> {
    match u8::try_from(codes.len()) {
        Ok(count) if count > 0 => [&[TOLD, count], codes, &effect].concat(),
        _ => effect,
    }
}

/// Takes the codes of keyspace events off an effect that has some.
pub fn events_of(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let Some((&TOLD, rest)) = bytes.split_first() else { return Ok((&[], bytes)) };
    let (count, rest) = rest.split_first().ok_or(Malformed::Encoding)?;
    rest.split_at_checked(usize::from(*count)).ok_or(Malformed::Encoding)
}

/// Reads an effect back: of the replication link and the AOF.
pub fn decode_effect(bytes: &[u8]) -> Result<Effect, Malformed> {
    match bytes.split_first() {
        Some((&REMOVAL, rest)) => Reader(rest).end(Effect::Removal),
        Some((&MARKS, rest)) => decode_marks(rest).map(Effect::Marks),
        _ => decode(bytes).map(Effect::Entry),
    }
}

fn decode_marks(body: &[u8]) -> Result<MarksRecord, Malformed> {
    if body.len() > HEADER_LIMIT {
        return Err(Malformed::TooLong);
    }
    let mut from = Reader(body);
    let (token, at, swr_ms, count): (Wide, Wide, Option<u64>, u32) = from.take()?;
    let mut tags = Vec::new();
    for _ in 0..count {
        tags.push(from.tag()?);
    }
    let swr_ms = match swr_ms {
        Some(ms) => Some(span("SWR", ms)?),
        None => None,
    };
    from.end(MarksRecord { token: token.token()?, at: moment("mark", at.get())?, swr_ms, tags })
}

/// Reads a header back.
pub fn decode(bytes: &[u8]) -> Result<Header, Malformed> {
    if bytes.len() > HEADER_LIMIT {
        return Err(Malformed::TooLong);
    }
    let (version, body) = bytes.split_first().ok_or(Malformed::Encoding)?;
    match *version {
        VERSION => second::decode(body),
        FIRST_VERSION if bytes.len() > FIRST_HEADER_LIMIT => Err(Malformed::TooLong),
        FIRST_VERSION => first::decode(body),
        other => Err(Malformed::Version(other)),
    }
}

impl Header {
    /// The entry, with `value` and its tags in it. A value that the header does not allow for is left out; one that it
    /// calls for and that is missing leaves an entry without a value.
    pub fn into_entry(self, value: Option<Arc<[u8]>>, tags: &mut dyn Intern) -> Entry {
        let mut entry = self.entry;
        if let Some(value) = value.filter(|_| self.value != ValuePart::Absent) {
            entry.value = Some(value);
            entry.set_times(self.times);
            entry.set_version(self.version);
            entry.set_tagged(
                self.tags
                    .map(|(birth, names)| Tagged { birth, tags: names.iter().map(|name| tags.intern(name)).collect() }),
            );
        }
        entry
    }

    pub fn lease(&self) -> Option<&Lease> {
        self.entry.lease()
    }

    /// The end of the back-off in it.
    pub fn backoff_until(&self) -> Option<UnixMs> {
        self.entry.failure().map(|failure| failure.until)
    }

    /// The lease, to be changed before the entry is made.
    pub fn lease_mut(&mut self) -> Option<&mut Lease> {
        self.entry.lease.as_deref_mut()
    }

    /// The youngest token in it: of its lease, its birth, or what raised its floor.
    pub fn youngest_token(&self) -> Option<Token> {
        let lease = self.lease().map(|lease| lease.token);
        let birth = self.tags.as_ref().map(|(birth, _)| *birth);
        let floor = self.entry.rare().and_then(|rare| rare.floor).map(|floor| floor.raised_by);
        lease.max(birth).max(floor)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::TooLong => write!(out, "header longer than {HEADER_LIMIT} bytes"),
            Malformed::Version(found) => {
                write!(out, "header version {found}, this module reads versions {FIRST_VERSION} and {VERSION}")
            }
            Malformed::Encoding => write!(out, "header is torn or not a header"),
            Malformed::TrailingBytes => write!(out, "bytes after the header"),
            Malformed::Range(name) => write!(out, "{name} out of range"),
        }
    }
}
