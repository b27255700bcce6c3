//! Headers: what was written is read back, what is damaged or forged is refused, and nothing panics or allocates beyond
//! its own length.
//!
//! [`Wire`] spells the format out a second time, so that tests can write what the core would never write.

use std::sync::Arc;

use corral_lease::codec::{
    decode, encode, Header, Malformed, ValuePart, HEADER_LIMIT, MESSAGE_LIMIT, NOTHING, VERSION,
};
use corral_lease::time::{UnixMs, MAX_MS};
use corral_lease::token::Token;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::Config;

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    /// Byte for byte: replicas and their master compare digests of these.
    #[test]
    fn every_entry_within_range_comes_back_to_the_same_bytes(wire in wire(), value in vec(any::<u8>(), 0..50)) {
        let bytes = written(&wire);
        prop_assert!(bytes.len() <= HEADER_LIMIT);
        let header = decode(&bytes).unwrap();
        prop_assert_eq!(header.value, value_part(wire.0));
        prop_assert_eq!(header.expire_at, wire.1.map(|moment| moment.map_or(UnixMs::NEVER, UnixMs::new)));
        prop_assert_eq!(header.token(), wire.9.and_then(|lease| Token::new(lease.0)));
        let value = (header.value != ValuePart::Absent).then(|| Arc::from(value.as_slice()));
        let (part, expire_at) = (header.value, header.expire_at);
        let entry = header.into_entry(value);
        prop_assert_eq!(encode(&entry, part, expire_at), bytes);
    }

    /// One number past its range, in any place: the whole header is refused, by name.
    #[test]
    fn a_number_out_of_range_is_refused(wire in wire(), place in 0..12usize, beyond in MAX_MS + 1..=u64::MAX) {
        let mut wire = wire;
        let failure = wire.8.get_or_insert_with(|| (b"down".to_vec(), 0));
        let lease = wire.9.get_or_insert((1, 0, 0, 0, false, 0));
        let name = match place {
            0 => { wire.1 = Some(Some(beyond)); "key deadline" }
            1 => { wire.2 = Some(beyond); "soft deadline" }
            2 => { wire.3 = beyond; "SWR" }
            3 => { wire.4 = beyond; "SIE" }
            4 => { wire.7 = beyond; "pass mark" }
            5 => { failure.1 = beyond; "back-off" }
            6 => { failure.0 = vec![b'x'; MESSAGE_LIMIT + 1]; "failure message" }
            7 => { lease.0 = beyond; "token" }
            8 => { lease.0 = 0; "token" }
            9 => { lease.1 = beyond; "grant" }
            10 => { lease.2 = beyond; "lease deadline" }
            _ => { lease.3 = beyond; "lease length" }
        };
        prop_assert_eq!(decode(&written(&wire)), Err(Malformed::Range(name)));
    }

    #[test]
    fn any_bytes_are_refused_or_read_as_an_entry(bytes in vec(any::<u8>(), 0..200)) {
        refused_or_an_entry(&bytes)?;
    }

    /// The same behind a version that is read, where most arbitrary bytes do not get.
    #[test]
    fn any_bytes_of_this_version_are_refused_or_read_as_an_entry(
        bytes in vec(prop_oneof![0..4u8, any::<u8>()], 0..80),
    ) {
        refused_or_an_entry(&[&[VERSION][..], &bytes].concat())?;
    }

    #[test]
    fn a_damaged_header_is_refused_or_read_as_an_entry(wire in wire(), damage in vec(damage(), 1..4)) {
        let mut bytes = written(&wire);
        for damage in damage {
            damage.befall(&mut bytes);
        }
        refused_or_an_entry(&bytes)?;
    }
}

/// Every single byte of a full header, changed to every other.
#[test]
fn one_changed_byte_is_refused_or_read_as_an_entry() {
    let wire: Wire = (1, Some(None), Some(1 << 40), 500, 60_000, 250, 3, 9, Some((b"down".to_vec(), 7)), Some(LEASE));
    let whole = written(&wire);
    for at in 0..whole.len() {
        for byte in 0..=255 {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            refused_or_an_entry(&bytes).unwrap();
        }
    }
}

#[test]
fn a_message_that_claims_to_be_huge_is_refused_before_it_is_read() {
    for claimed in [MESSAGE_LIMIT as u64 + 1, HEADER_LIMIT as u64, 1 << 40, u64::MAX] {
        let mut bytes = vec![VERSION, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 253];
        bytes.extend(claimed.to_le_bytes());
        assert!(decode(&bytes).is_err(), "{claimed}");
    }
}

#[test]
fn a_header_as_long_as_allowed_is_read() {
    let mut wire: Wire = (0, None, Some(0), 0, 0, 0, 0, 0, Some((vec![b'x'; MESSAGE_LIMIT], 5)), None);
    assert!(decode(&written(&wire)).is_ok());
    wire.8 = Some((vec![b'x'; HEADER_LIMIT], 5));
    assert_eq!(decode(&written(&wire)), Err(Malformed::TooLong));
}

#[test]
fn no_other_version_is_read() {
    for version in (0..=255).filter(|version| *version != VERSION) {
        assert_eq!(decode(&[version, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), Err(Malformed::Version(version)));
    }
    assert_eq!(decode(&[]), Err(Malformed::Encoding));
}

#[test]
fn a_value_that_the_header_does_not_allow_for_is_left_out() {
    let wire: Wire = (0, None, Some(7), 50, 60, 1, 2, 0, None, None);
    let entry = decode(&written(&wire)).unwrap().into_entry(Some(Arc::from(&b"v"[..])));
    assert_eq!(entry.value(), None);
    assert_eq!((entry.fresh_until(), entry.windows().is_empty()), (UnixMs::EPOCH, true));
}

#[test]
fn a_value_that_the_header_calls_for_and_that_is_missing_leaves_none() {
    for part in [1, 2] {
        let wire: Wire = (part, None, None, 50, 60, 1, 2, 0, None, None);
        let entry = decode(&written(&wire)).unwrap().into_entry(None);
        assert!(entry.value().is_none() && !entry.kept_until().is_never());
    }
}

/// Everything behind the version byte, in its order: value part, key deadline, soft deadline, SWR, SIE, build time,
/// fills, pass mark, failure (message, back-off's end), lease (token, grant, deadline, length, tied, database).
type Wire = (
    u8,
    Option<Option<u64>>,
    Option<u64>,
    u64,
    u64,
    u32,
    u32,
    u64,
    Option<(Vec<u8>, u64)>,
    Option<(u64, u64, u64, u64, bool, u32)>,
);

const LEASE: (u64, u64, u64, u64, bool, u32) = (1_700_000_000_000_001, 1_700_000_000_000, 1 << 41, 10_000, true, 3);

fn written(wire: &Wire) -> Vec<u8> {
    bincode::serde::encode_to_vec((VERSION, wire), bincode::config::standard()).unwrap()
}

fn value_part(number: u8) -> ValuePart {
    [ValuePart::Absent, ValuePart::Carried, ValuePart::Kept][usize::from(number)]
}

/// Whatever is accepted is an entry like any other: written again, it is read as the same.
fn refused_or_an_entry(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(header) = decode(bytes) else { return Ok(()) };
    let Header { value: part, expire_at, .. } = header;
    let value = (part != ValuePart::Absent).then(|| Arc::from(&b"v"[..]));
    let entry = header.into_entry(value.clone());
    let again = decode(&encode(&entry, part, expire_at)).unwrap();
    prop_assert_eq!((again.value, again.expire_at), (part, expire_at));
    prop_assert_eq!(again.into_entry(value), entry);
    Ok(())
}

fn wire() -> impl Strategy<Value = Wire> {
    let times = (prop::option::weighted(0.7, ms()), ms(), ms());
    let message = prop_oneof![8 => vec(any::<u8>(), 0..30), 1 => Just(vec![b'x'; MESSAGE_LIMIT])];
    let failure = prop::option::of((message, ms()));
    let lease = prop::option::of((1..=Token::MAX, ms(), ms(), ms(), any::<bool>(), any::<u32>()));
    let key_deadline = prop::option::of(prop::option::of(ms()));
    (0..3u8, key_deadline, times, any::<u32>(), any::<u32>(), ms(), failure, lease).prop_map(
        |(part, key_deadline, times, build_ms, fills, pass_until, failure, lease)| {
            // Without a value there are no times: they would be nobody's.
            let (fresh_until, swr_ms, sie_ms) = if part == 0 { (Some(0), 0, 0) } else { times };
            (part, key_deadline, fresh_until, swr_ms, sie_ms, build_ms, fills, pass_until, failure, lease)
        },
    )
}

/// Of every encoded length.
fn ms() -> impl Strategy<Value = u64> {
    prop_oneof![0..=250u64, 0..=0xffffu64, 0..=0xffff_ffffu64, 0..=MAX_MS, Just(MAX_MS)]
}

#[derive(Clone, Debug)]
enum Damage {
    Changed(Index, u8),
    Lost(Index),
    Added(Index, u8),
    Torn(Index),
}

impl Damage {
    fn befall(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Damage::Changed(at, byte) => *at.get_mut(bytes) = *byte,
            Damage::Lost(at) => drop(bytes.remove(at.index(bytes.len()))),
            Damage::Added(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Damage::Torn(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = || prop_oneof![0..4u8, 250..=255u8, any::<u8>()];
    prop_oneof![
        (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Changed(at, byte)),
        any::<Index>().prop_map(Damage::Lost),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Added(at, byte)),
        any::<Index>().prop_map(Damage::Torn),
    ]
}

#[test]
fn nothing_is_read_as_an_entry_with_nothing_in_it() {
    let header = decode(&NOTHING).unwrap();
    let (part, expire_at) = (header.value, header.expire_at);
    let entry = header.into_entry(None);
    assert!(entry.is_vacant(UnixMs::EPOCH));
    assert_eq!(encode(&entry, part, expire_at), NOTHING);
}
