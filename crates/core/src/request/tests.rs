//! Options, labels and what is refused.

use alloc::string::String;
use alloc::vec;

use super::*;
use crate::freshness::{Freshness, SoftDeadline};

fn labels(line: &str) -> Result<Labels<'_>, String> {
    Labels::parse(line.split_whitespace().map(str::as_bytes), Labelled::Fill).map_err(|error| error.sentence())
}

fn options(line: &str) -> Result<Options<'_>, String> {
    Options::parse(line.split_whitespace().map(str::as_bytes), true, 300_000).map_err(|error| error.sentence())
}

#[test]
fn options_come_in_any_order_and_case() {
    let read = labels("sie 5 jitter 10 version 3 Swr 7 tags 2 b b ex 3").unwrap();
    let freshness =
        Freshness { soft: SoftDeadline::In(3000), swr_ms: Some(7), sie_ms: Some(5), jitter_percent: Some(10) };
    assert_eq!(read.freshness, freshness);
    assert_eq!((read.tags, read.version), (Some(vec![&b"b"[..]]), Some(3)));
    let read = options("once 0 GROUP a.b Block 5 notify tied").unwrap();
    assert_eq!((read.once_ms, read.group, read.block_ms), (Some(0), Some(&b"a.b"[..]), Some(5)));
}

#[test]
fn each_may_be_given_once_and_the_four_exclude_each_other() {
    assert_eq!(labels("EX 1 PX 1").unwrap_err(), "ERR syntax error: only one EX, PX, EXAT or PXAT may be given");
    assert_eq!(labels("EX 1 SWR 1 swr 1").unwrap_err(), "ERR syntax error: only one SWR may be given");
    assert_eq!(options("TIED tied").unwrap_err(), "ERR syntax error: only one TIED may be given");
}

#[test]
fn windows_need_a_soft_deadline() {
    for option in ["SWR 5", "SIE 5", "JITTER 5"] {
        assert!(labels(option).unwrap_err().contains("needs EX, PX, EXAT or PXAT"), "{option}");
    }
}

#[test]
fn tags_are_counted() {
    for (given, complaint) in [
        ("TAGS 2 a", "ERR TAGS must be the number of tags that follow: it is 2, and 1 words follow"),
        ("TAGS 0", "ERR TAGS must be a whole number from 1 to 32"),
        ("TAGS 33 a", "ERR TAGS must be a whole number from 1 to 32"),
    ] {
        assert_eq!(labels(given).unwrap_err(), complaint);
    }
    let long = [b'x'; 256];
    assert_eq!(tag_name(&long), Err(Error::TooLong { name: "a tag", limit: 255 }));
    assert!(tag_name(b"").is_err() && tag_name(b"\0").is_ok());
    assert_eq!(invalidate_tag(&[b"1", b"a", b"SWR", b"5"]), Ok((vec![&b"a"[..]], Some(5))));
    assert!(invalidate_tag(&[b"3", b"a"]).is_err());
}
