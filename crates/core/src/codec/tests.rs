//! Golden bytes, and what is refused.

use alloc::string::ToString;
use alloc::vec;

use super::*;
use crate::entry::{Failure, Floor, Rare};
use crate::freshness::Windows;
use crate::lease::Terms;
use crate::tag::{Tag, Tagged};

struct Names;

impl Intern for Names {
    fn intern(&mut self, name: &[u8]) -> Arc<Tag> {
        Tag::new(name)
    }
}

fn full(tags: bool) -> Entry {
    let mut entry = Entry::vacant();
    entry.value = Some(Arc::from(&b"value"[..]));
    let windows = Windows { swr_ms: 500, sie_ms: 60_000 };
    entry.set_times(Times { fresh_until: UnixMs::new(1_700_000_000_000), windows });
    entry.build_ms = 250;
    entry.fills = 3;
    *entry.rare_or_insert() = Rare {
        failure: Some(Failure { message: Arc::from(&b"db down"[..]), until: UnixMs::new(7) }),
        pass_until: UnixMs::new(9),
        ..Rare::IDLE
    };
    let terms = tags.then(|| Box::new(Terms { group: Some(Arc::from(&b"g"[..])), once_ms: Some(0) }));
    entry.lease = Some(Box::new(Lease {
        token: Token::new(1_700_000_000_000_001).unwrap(),
        granted_at: UnixMs::new(1_700_000_000_000),
        deadline: UnixMs::new(1_700_000_010_000),
        length_ms: 10_000,
        is_tied: true,
        has_arrived: false,
        terms,
    }));
    if tags {
        let birth = Token::new(5).unwrap();
        entry.set_tagged(Some(Tagged { birth, tags: [&b"a"[..], b"bc"].map(Tag::new).into() }));
        let rare = entry.rare_or_insert();
        rare.version = Some(8);
        rare.failures_in_a_row = 2;
        rare.has_failed = true;
        rare.broken_ties = 1;
        rare.unknown_until = UnixMs::NEVER;
        rare.floor = Some(Floor { version: 9, raised_by: Token::new(6).unwrap(), until: UnixMs::new(10) });
    }
    entry
}

#[test]
fn entries_come_back_as_they_were() {
    let mut arrived = full(true);
    arrived.lease.as_mut().unwrap().has_arrived = true;
    for entry in [full(false), full(true), arrived, Entry::vacant()] {
        let part = if entry.value.is_some() { ValuePart::Carried } else { ValuePart::Absent };
        let bytes = encode(&entry, part, Some(UnixMs::NEVER));
        let header = decode(&bytes).unwrap();
        assert_eq!(header.expire_at, Some(UnixMs::NEVER));
        assert_eq!(header.into_entry(entry.value.clone(), &mut Names), entry);
    }
    assert_eq!(decode(&NOTHING).unwrap().into_entry(None, &mut Names), Entry::vacant());
    assert_eq!(decode_effect(&encode_removal()), Ok(Effect::Removal));
    let marks = MarksRecord {
        token: Token::new(4).unwrap(),
        at: UnixMs::new(3),
        swr_ms: Some(0),
        tags: vec![Box::from(&b"tag"[..])],
    };
    assert_eq!(decode_effect(&encode_marks(&marks)), Ok(Effect::Marks(marks)));
}

#[test]
fn events_travel_before_their_effect_and_cost_nothing_where_there_are_none() {
    assert_eq!(with_events(&[], encode_removal()), encode_removal());
    assert_eq!(with_events(&[1, 8], encode_removal()), [5, 2, 1, 8, 3]);
    assert_eq!(events_of(&[5, 2, 1, 8, 3]), Ok((&[1, 8][..], &[3][..])));
    assert_eq!(events_of(&[3]), Ok((&[][..], &[3][..])));
    for torn in [&[5][..], &[5, 1], &[5, 3, 1, 2]] {
        assert_eq!(events_of(torn), Err(Malformed::Encoding));
    }
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
    assert_eq!(decode(everything).unwrap().into_entry(full(false).value, &mut Names), full(false));

    let mut placeholder = Entry::vacant();
    placeholder.lease = full(false).lease;
    let replicated: &[u8] = &[
        1, 0,
        1, 1, 253, 96, 82, 230, 207, 139, 1, 0, 0,     // key deadline
        1, 0, 0, 0, 0, 0, 0,
        0,                                             // no failure
        1, 253, 1, 64, 30, 24, 36, 10, 6, 0, 253, 0, 104, 229, 207, 139, 1, 0, 0,
        253, 16, 143, 229, 207, 139, 1, 0, 0, 251, 16, 39, 1, 3,
    ];
    let header = decode(replicated).unwrap();
    assert_eq!(header.expire_at, Some(UnixMs::new(1_700_000_060_000)));
    assert_eq!(header.into_entry(None, &mut Names), placeholder);

    let for_ever: &[u8] = &[
        1, 2,                                          // value: the receiver has it
        1, 0,                                          // key deadline: none
        0,                                             // soft deadline: none
        0, 0, 0, 0, 0, 0, 0,
    ];
    let mut entry = Entry::vacant();
    entry.value = Some(Arc::from(&b"value"[..]));
    entry.set_times(Times { fresh_until: UnixMs::NEVER, windows: Windows::default() });
    assert_eq!(decode(for_ever).unwrap().into_entry(entry.value.clone(), &mut Names), entry);
}

/// As above, of version 2.
#[test]
#[rustfmt::skip]
fn golden_bytes_of_version_2() {
    let everything: &[u8] = &[
        2,                                             // version
        251, 149, 127,                                 // parts
        250, 3,                                        // build time, fills
        0, 104, 229, 207, 139, 1, 0,                   // soft deadline
        251, 244, 1, 251, 96, 234,                     // SWR, SIE
        1, 64, 30, 24, 36, 10, 6,                      // lease: token,
        0, 104, 229, 207, 139, 1, 0,                   //   grant,
        16, 143, 229, 207, 139, 1, 0,                  //   deadline,
        251, 16, 39, 1,                                //   length, tied,
        1, 1, 103, 1, 0,                               //   group, ONCE
        5, 0, 0, 0, 0, 0, 0, 2, 1, 97, 2, 98, 99,      // birth and tags
        7, 100, 98, 32, 100, 111, 119, 110, 7, 0, 0, 0, 0, 0, 0, // failure: message, end of the back-off
        2, 1, 1,                                       // failures in a row, the last attempt failed, broken ties
        9, 0, 0, 0, 0, 0, 0,                           // end of the pass mark
        255, 255, 255, 255, 255, 255, 255,             // unknown outcome: without end
        8, 0, 0, 0, 0, 0, 0,                           // version
        9, 6, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0,  // floor: version, raised by, until
    ];
    assert_eq!(encode(&full(true), ValuePart::Carried, None), everything);
    assert_eq!(decode(everything).unwrap().into_entry(full(true).value, &mut Names), full(true));

    let mut plain = Entry::vacant();
    plain.value = Some(Arc::from(&b"value"[..]));
    plain.fills = 1;
    plain.set_times(Times { fresh_until: UnixMs::new(1_700_000_000_000), windows: Windows::default() });
    let bytes: &[u8] = &[2, 5, 0, 1, 0, 104, 229, 207, 139, 1, 0];
    assert_eq!(encode(&plain, ValuePart::Carried, None), bytes);
}

#[test]
fn every_torn_prefix_and_every_appended_byte_is_refused() {
    for entry in [full(false), full(true)] {
        let bytes = encode(&entry, ValuePart::Carried, None);
        for end in 0..bytes.len() {
            assert!(decode(bytes.get(..end).unwrap()).is_err());
        }
        assert_eq!(decode(&[bytes.as_slice(), &[0]].concat()), Err(Malformed::TrailingBytes));
    }
    assert_eq!(decode(&vec![2; HEADER_LIMIT + 1]), Err(Malformed::TooLong));
    assert_eq!(decode(&[9, 0]), Err(Malformed::Version(9)));
    assert!(Malformed::Version(9).to_string().contains("version 9"));
}
