//! Numbers and texts in bincode, and their ranges.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bincode::config;
use bincode::error::EncodeError;
use serde::{Deserialize, Serialize};

use super::{Malformed, HEADER_LIMIT, VERSION};
use crate::tag::TAG_LIMIT;
use crate::time::{UnixMs, MAX_MS};
use crate::token::Token;

/// A number below 2^56 in seven bytes: bincode would take nine for a moment.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Wide([u8; 7]);

const NEVER_WIDE: u64 = (1 << 56) - 1;

impl Wide {
    pub(super) fn moment(moment: UnixMs) -> Self {
        Self::number(moment.get().unwrap_or(NEVER_WIDE))
    }

    pub(super) fn number(number: u64) -> Self {
        let [a, b, c, d, e, f, g, _] = number.to_le_bytes();
        Self([a, b, c, d, e, f, g])
    }

    pub(super) fn get(self) -> u64 {
        let [a, b, c, d, e, f, g] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, 0])
    }

    pub(super) fn token(self) -> Result<Token, Malformed> {
        Token::new(self.get()).ok_or(Malformed::Range("token"))
    }

    /// A moment, or never.
    pub(super) fn end(self, name: &'static str) -> Result<UnixMs, Malformed> {
        match self.get() {
            NEVER_WIDE => Ok(UnixMs::NEVER),
            ms => moment(name, ms),
        }
    }
}

/// What most headers fit into, so that their bytes are asked for once.
const USUAL_BYTES: usize = 96;

/// A header's parts as they are added.
pub(super) struct Writer {
    pub(super) parts: u32,
    bytes: Bytes,
}

struct Bytes(Vec<u8>);

impl bincode::enc::write::Writer for Bytes {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { parts: 0, bytes: Bytes(Vec::with_capacity(USUAL_BYTES)) }
    }

    pub(super) fn part(&mut self, part: u32, value: impl Serialize) {
        self.parts |= part;
        self.put(value);
    }

    /// Numbers and bounded texts into a growing vector: nothing in it can fail to encode. If it ever did, readers would
    /// refuse the short header rather than misread it.
    pub(super) fn put(&mut self, value: impl Serialize) {
        let _ = bincode::serde::encode_into_writer(value, &mut self.bytes, config::standard());
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let mut whole = Self::new();
        whole.put((VERSION, self.parts));
        whole.bytes.0.extend(self.bytes.0);
        whole.into_bytes()
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes.0
    }
}

/// What is left of the bytes to be read.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take<T: Deserialize<'a>>(&mut self) -> Result<T, Malformed> {
        let limited = config::standard().with_limit::<HEADER_LIMIT>();
        let (value, read) =
            bincode::serde::borrow_decode_from_slice(self.0, limited).map_err(|_| Malformed::Encoding)?;
        self.0 = self.0.get(read..).ok_or(Malformed::Encoding)?;
        Ok(value)
    }

    pub(super) fn tag(&mut self) -> Result<Box<[u8]>, Malformed> {
        let tag: &[u8] = self.take()?;
        match (1..=TAG_LIMIT).contains(&tag.len()) {
            true => Ok(tag.into()),
            false => Err(Malformed::Range("tag")),
        }
    }

    pub(super) fn end<T>(self, value: T) -> Result<T, Malformed> {
        match self.0.is_empty() {
            true => Ok(value),
            false => Err(Malformed::TrailingBytes),
        }
    }
}

pub(super) fn span(name: &'static str, ms: u64) -> Result<u64, Malformed> {
    if ms <= MAX_MS {
        Ok(ms)
    } else {
        Err(Malformed::Range(name))
    }
}

pub(super) fn moment(name: &'static str, ms: u64) -> Result<UnixMs, Malformed> {
    span(name, ms).map(UnixMs::new)
}

pub(super) fn end(name: &'static str, ms: Option<u64>) -> Result<UnixMs, Malformed> {
    ms.map_or(Ok(UnixMs::NEVER), |ms| moment(name, ms))
}
