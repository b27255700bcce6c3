//! The bytes of an entry outside the server's memory: in RDB files and DUMP payloads, in the AOF and on the
//! replication link.
//!
//! `[version: 1 byte][header: bincode, at most 4 KiB in all]`; the value travels beside it as a string of its own, so
//! that a large one is never copied into a header. bincode is unmaintained (RUSTSEC-2025-0141), which is bearable here:
//! the input is bounded before it is read, every number is range-checked after, and the golden bytes below would show
//! any change of format. Arbitrary bytes give an error; they never panic nor allocate beyond their own length.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bincode::config;
use serde::{Deserialize, Serialize};

use crate::entry::{Entry, Failure, Lease, Rebuild};
use crate::freshness::{Times, Windows};
use crate::time::{UnixMs, MAX_MS};
use crate::token::Token;

/// The only version there has been. A reader refuses any other.
pub const VERSION: u8 = 1;

/// A header's limit in bytes: a failure message of [`MESSAGE_LIMIT`] and a dozen numbers fit four times over.
pub const HEADER_LIMIT: usize = 4096;

/// The longest failure message, in bytes.
pub const MESSAGE_LIMIT: usize = 1024;

/// The header of an entry with nothing in it: what stands in a file for one that could not be written, so that the
/// rest of the file can be read.
pub const NOTHING: [u8; 12] = [VERSION, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];

/// Where an entry's value is.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub enum ValuePart {
    /// There is none.
    Absent,
    /// Beside the header.
    Carried,
    /// The receiver has it already: only the lease or the times changed.
    Kept,
}

/// An entry without its value, as read from a header.
#[derive(Clone, PartialEq, Debug)]
pub struct Header {
    /// Everything but the value. Incomplete until [`Header::into_entry`] has put the value in.
    entry: Entry,
    pub value: ValuePart,
    /// The deadline of the key in Redis, where the header says one: replicated effects do, stored entries leave it to
    /// Redis. `Some(UnixMs::NEVER)`: it has none.
    pub expire_at: Option<UnixMs>,
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

/// The bytes of `entry`'s header.
pub fn encode(entry: &Entry, value: ValuePart, expire_at: Option<UnixMs>) -> Vec<u8> {
    let wire = HeaderV1 {
        value,
        expire_at: expire_at.map(|moment| moment.get()),
        fresh_until: entry.fresh_until.get(),
        swr_ms: entry.windows().swr_ms,
        sie_ms: entry.windows().sie_ms,
        build_ms: entry.build_ms,
        fills: entry.fills,
        pass_until: entry.rebuild().and_then(|rebuild| rebuild.pass_until.get()).unwrap_or(0),
        failure: entry.failure().map(|failure| FailureV1 {
            message: Cow::Borrowed(&failure.message),
            until: failure.until.get().unwrap_or(MAX_MS),
        }),
        lease: entry.lease().map(|lease| LeaseV1 {
            token: lease.token.get(),
            granted_at: lease.granted_at.get().unwrap_or(MAX_MS),
            deadline: lease.deadline.get().unwrap_or(MAX_MS),
            length_ms: lease.length_ms,
            tied: lease.tied,
            db: lease.db,
        }),
    };
    // Numbers and one bounded text into a growing vector: nothing in it can fail to encode. If it ever did, readers
    // would refuse the empty header rather than misread it.
    bincode::serde::encode_to_vec((VERSION, wire), config::standard()).unwrap_or_default()
}

/// Reads a header back.
pub fn decode(bytes: &[u8]) -> Result<Header, Malformed> {
    if bytes.len() > HEADER_LIMIT {
        return Err(Malformed::TooLong);
    }
    let (version, body) = bytes.split_first().ok_or(Malformed::Encoding)?;
    if *version != VERSION {
        return Err(Malformed::Version(*version));
    }
    let limited = config::standard().with_limit::<HEADER_LIMIT>();
    let (wire, read): (HeaderV1, usize) =
        bincode::serde::borrow_decode_from_slice(body, limited).map_err(|_| Malformed::Encoding)?;
    if read != body.len() {
        return Err(Malformed::TrailingBytes);
    }
    wire.check()
}

impl Header {
    /// The entry, with `value` in it. A value that the header does not allow for is left out; one that it calls for
    /// and that is missing leaves an entry without a value.
    pub fn into_entry(self, value: Option<Arc<[u8]>>) -> Entry {
        let mut entry = self.entry;
        match value.filter(|_| self.value != ValuePart::Absent) {
            Some(value) => entry.value = Some(value),
            None => entry.drop_value(),
        }
        entry
    }

    /// The token of the lease in it.
    pub fn token(&self) -> Option<Token> {
        self.entry.lease().map(|lease| lease.token)
    }
}

#[derive(Serialize, Deserialize)]
struct HeaderV1<'a> {
    value: ValuePart,
    expire_at: Option<Option<u64>>,
    fresh_until: Option<u64>,
    swr_ms: u64,
    sie_ms: u64,
    build_ms: u32,
    fills: u32,
    pass_until: u64,
    #[serde(borrow)]
    failure: Option<FailureV1<'a>>,
    lease: Option<LeaseV1>,
}

#[derive(Serialize, Deserialize)]
struct FailureV1<'a> {
    #[serde(borrow, with = "text")]
    message: Cow<'a, [u8]>,
    until: u64,
}

#[derive(Serialize, Deserialize)]
struct LeaseV1 {
    token: u64,
    granted_at: u64,
    deadline: u64,
    length_ms: u64,
    tied: bool,
    db: u32,
}

impl HeaderV1<'_> {
    fn check(self) -> Result<Header, Malformed> {
        let failure = match self.failure {
            Some(failure) => Some(Failure {
                message: match failure.message.len() {
                    0..=MESSAGE_LIMIT => Arc::from(&*failure.message),
                    _ => return Err(Malformed::Range("failure message")),
                },
                until: moment("back-off", failure.until)?,
            }),
            None => None,
        };
        let lease = match self.lease {
            Some(lease) => Some(Lease {
                token: Token::new(lease.token).ok_or(Malformed::Range("token"))?,
                granted_at: moment("grant", lease.granted_at)?,
                deadline: moment("lease deadline", lease.deadline)?,
                length_ms: span("lease length", lease.length_ms)?,
                tied: lease.tied,
                db: lease.db,
            }),
            None => None,
        };
        let rebuild = Rebuild { lease, failure, pass_until: moment("pass mark", self.pass_until)? };
        let windows = Windows { swr_ms: span("SWR", self.swr_ms)?, sie_ms: span("SIE", self.sie_ms)? };
        let mut entry = Entry::vacant();
        entry.set_times(Times { fresh_until: end("soft deadline", self.fresh_until)?, windows });
        entry.build_ms = self.build_ms;
        entry.fills = self.fills;
        if rebuild != Rebuild::IDLE {
            *entry.rebuild_or_insert() = rebuild;
        }
        let expire_at = match self.expire_at {
            Some(expire_at) => Some(end("key deadline", expire_at)?),
            None => None,
        };
        Ok(Header { entry, value: self.value, expire_at })
    }
}

fn span(name: &'static str, ms: u64) -> Result<u64, Malformed> {
    if ms <= MAX_MS {
        Ok(ms)
    } else {
        Err(Malformed::Range(name))
    }
}

fn moment(name: &'static str, ms: u64) -> Result<UnixMs, Malformed> {
    span(name, ms).map(UnixMs::new)
}

fn end(name: &'static str, ms: Option<u64>) -> Result<UnixMs, Malformed> {
    ms.map_or(Ok(UnixMs::NEVER), |ms| moment(name, ms))
}

/// serde writes `[u8]` as a sequence of numbers unless told that it is bytes.
mod text {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Cow<'a, [u8]>, D::Error> {
        <&[u8]>::deserialize(from).map(Cow::Borrowed)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::TooLong => write!(out, "header longer than {HEADER_LIMIT} bytes"),
            Malformed::Version(found) => write!(out, "header version {found}, this module reads version {VERSION}"),
            Malformed::Encoding => write!(out, "header is torn or not a header"),
            Malformed::TrailingBytes => write!(out, "bytes after the header"),
            Malformed::Range(name) => write!(out, "{name} out of range"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freshness::Times;

    fn full() -> Entry {
        let mut entry = Entry::vacant();
        entry.value = Some(Arc::from(&b"value"[..]));
        let windows = Windows { swr_ms: 500, sie_ms: 60_000 };
        entry.set_times(Times { fresh_until: UnixMs::new(1_700_000_000_000), windows });
        entry.build_ms = 250;
        entry.fills = 3;
        *entry.rebuild_or_insert() = Rebuild {
            lease: Token::new(1_700_000_000_000_001).map(|token| Lease {
                token,
                granted_at: UnixMs::new(1_700_000_000_000),
                deadline: UnixMs::new(1_700_000_010_000),
                length_ms: 10_000,
                tied: true,
                db: 3,
            }),
            failure: Some(Failure { message: Arc::from(&b"db down"[..]), until: UnixMs::new(7) }),
            pass_until: UnixMs::new(9),
        };
        entry
    }

    #[test]
    fn entries_come_back_as_they_were() {
        let entry = full();
        let bytes = encode(&entry, ValuePart::Carried, Some(UnixMs::NEVER));
        let header = decode(&bytes).unwrap();
        assert_eq!(header.expire_at, Some(UnixMs::NEVER));
        assert_eq!(header.into_entry(entry.value.clone()), entry);

        let vacant = Entry::vacant();
        let bytes = encode(&vacant, ValuePart::Absent, None);
        assert_eq!(decode(&bytes).unwrap().into_entry(None), vacant);
    }

    /// Files written by version 1 must be readable for ever: these bytes are never changed, only added to.
    #[test]
    #[rustfmt::skip]
    fn golden_bytes_of_version_1() {
        let everything: &[u8] = &[
            1,                                             // version
            1,                                             // value: beside the header
            0,                                             // key deadline: not said
            1, 253, 0, 104, 229, 207, 139, 1, 0, 0,        // soft deadline
            251, 244, 1,                                   // SWR
            251, 96, 234,                                  // SIE
            250,                                           // build time
            3,                                             // fills
            9,                                             // end of the pass mark
            1, 7, 100, 98, 32, 100, 111, 119, 110, 7,      // failure: message, end of the back-off
            1, 253, 1, 64, 30, 24, 36, 10, 6, 0,           // lease: token,
            253, 0, 104, 229, 207, 139, 1, 0, 0,           //   grant,
            253, 16, 143, 229, 207, 139, 1, 0, 0,          //   deadline,
            251, 16, 39,                                   //   length,
            1,                                             //   tied,
            3,                                             //   database
        ];
        assert_eq!(encode(&full(), ValuePart::Carried, None), everything);
        assert_eq!(decode(everything).unwrap().into_entry(full().value), full());

        let mut placeholder = Entry::vacant();
        placeholder.rebuild_or_insert().lease = full().lease().copied();
        let replicated: &[u8] = &[
            1, 0,
            1, 1, 253, 96, 82, 230, 207, 139, 1, 0, 0,     // key deadline
            1, 0, 0, 0, 0, 0, 0,
            0,                                             // no failure
            1, 253, 1, 64, 30, 24, 36, 10, 6, 0, 253, 0, 104, 229, 207, 139, 1, 0, 0,
            253, 16, 143, 229, 207, 139, 1, 0, 0, 251, 16, 39, 1, 3,
        ];
        let deadline = Some(UnixMs::new(1_700_000_060_000));
        assert_eq!(encode(&placeholder, ValuePart::Absent, deadline), replicated);
        let header = decode(replicated).unwrap();
        assert_eq!((header.expire_at, header.token()), (deadline, full().lease().map(|lease| lease.token)));
        assert_eq!(header.into_entry(None), placeholder);

        let for_ever: &[u8] = &[
            1, 2,                                          // value: the receiver has it
            1, 0,                                          // key deadline: none
            0,                                             // soft deadline: none
            0, 0, 0, 0, 0, 0, 0,
        ];
        let times = Times { fresh_until: UnixMs::NEVER, windows: Windows::default() };
        let entry = Entry::of_value(Arc::from(&b"value"[..]), times);
        assert_eq!(encode(&entry, ValuePart::Kept, Some(UnixMs::NEVER)), for_ever);
        assert_eq!(decode(for_ever).unwrap().into_entry(entry.value.clone()), entry);
    }

    #[test]
    fn every_torn_prefix_and_every_appended_byte_is_refused() {
        let bytes = encode(&full(), ValuePart::Carried, None);
        for end in 0..bytes.len() {
            assert!(decode(bytes.get(..end).unwrap()).is_err());
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(decode(&longer), Err(Malformed::TrailingBytes));
        assert_eq!(decode(&vec![1; HEADER_LIMIT + 1]), Err(Malformed::TooLong));
        assert_eq!(decode(&[2, 0]), Err(Malformed::Version(2)));
    }
}
