//! Marks, caps and the floor, by themselves.

use super::*;

fn token(number: u64) -> Token {
    Token::new(number).unwrap()
}

fn tagged(tags: &mut Tags, birth: u64, names: &[&[u8]]) -> Tagged {
    Tagged { birth: token(birth), tags: names.iter().map(|name| tags.intern(name)).collect() }
}

#[test]
fn a_mark_counts_for_what_was_born_before_it() {
    let mut tags = Tags::default();
    let (old, young) = (tagged(&mut tags, 5, &[b"a"]), tagged(&mut tags, 7, &[b"a"]));
    tags.mark(&[b"a"], token(6), UnixMs::new(60), None, 10);
    assert!(old.is_marked(tags.floor()) && !young.is_marked(tags.floor()));
    assert_eq!(tags.judge(&old).map(|judgement| judgement.since), Some(UnixMs::new(60)));
    assert_eq!(tags.judge(&young), None);
    assert!(tags.voids(6, &[b"a"]) && !tags.voids(7, &[b"a"]) && !tags.voids(6, &[b"b"]));
}

#[test]
fn forgetting_a_mark_invalidates_more() {
    let mut tags = Tags::default();
    let (a, b) = (tagged(&mut tags, 5, &[b"a"]), tagged(&mut tags, 5, &[b"b"]));
    tags.mark(&[b"a"], token(6), UnixMs::new(60), None, 1);
    assert!(!b.is_marked(tags.floor()));
    tags.mark(&[b"c"], token(9), UnixMs::new(90), None, 1);
    assert!(a.is_marked(tags.floor()) && b.is_marked(tags.floor()));
    assert_eq!((tags.moment(b"a"), tags.moment(b"c"), tags.len()), (UnixMs::new(60), UnixMs::new(90), 1));
}

#[test]
fn a_hard_purge_holds_though_its_mark_is_forgotten() {
    let mut tags = Tags::default();
    let entry = tagged(&mut tags, 5, &[b"a"]);
    tags.mark(&[b"a"], token(6), UnixMs::new(60), Some(0), 10);
    let before = tags.judge(&entry).map(|judgement| judgement.served_until);
    assert!(!tags.trim(0));
    assert_eq!(tags.judge(&entry).map(|judgement| judgement.served_until), before);
    // On another node, too, which was told of the floor after a younger mark.
    let mut other = Tags::default();
    let entry = tagged(&mut other, 5, &[b"a"]);
    other.mark(&[b"a"], token(4), UnixMs::new(40), None, 10);
    other.mark(&[b"b"], token(7), UnixMs::new(70), None, 10);
    for record in tags.take_news() {
        other.apply_floor(record.token, record.at, record.swr_ms);
    }
    while other.free_slice() {}
    assert_eq!(other.judge(&entry).map(|judgement| judgement.served_until), before);
    assert_eq!((other.len(), other.moment(b"a"), other.has_news()), (1, UnixMs::new(60), false));
    other.reset();
    assert!(!entry.is_marked(other.floor()) && other.len() == 0);
}

#[test]
fn a_cap_holds_for_what_was_born_before_its_mark_and_for_nothing_else() {
    let mut tags = Tags::default();
    let (old, young) = (tagged(&mut tags, 5, &[b"a"]), tagged(&mut tags, 7, &[b"a"]));
    let served = |tags: &Tags, entry: &Tagged| tags.judge(entry).map(|judgement| judgement.served_until);
    tags.mark(&[b"a"], token(6), UnixMs::new(60), Some(0), 10);
    tags.mark(&[b"a"], token(8), UnixMs::new(80), Some(500), 10);
    assert_eq!(served(&tags, &old), Some(UnixMs::new(60)));
    assert_eq!(served(&tags, &young), Some(UnixMs::new(580)));
    tags.mark(&[b"a"], token(9), UnixMs::new(90), None, 10);
    assert_eq!(served(&tags, &old), Some(UnixMs::new(60)));
    assert_eq!(served(&tags, &young), Some(UnixMs::new(580)));
}

#[test]
fn names_that_nothing_has_are_swept() {
    let mut tags = Tags::default();
    for number in 0..1000_u64 {
        drop(tags.intern(&number.to_le_bytes()));
    }
    assert!(tags.names.len() < 10, "{}", tags.names.len());
}

#[test]
fn a_flush_forgets_all_marks_and_raises_the_floor() {
    let mut tags = Tags::default();
    let entry = tagged(&mut tags, 8, &[b"a"]);
    tags.mark(&[b"a"], token(6), UnixMs::new(60), None, 10);
    tags.flush(token(7), UnixMs::new(70));
    while tags.free_slice() {}
    assert!(!entry.is_marked(tags.floor()) && tags.voids(7, &[b"x"]));
    assert_eq!((tags.len(), tags.moment(b"a")), (0, UnixMs::new(70)));
}

#[test]
fn a_floor_that_rises_over_many_marks_forgets_them_in_slices_and_keeps_the_younger() {
    let mut tags = Tags::default();
    for number in 1..=1000_u64 {
        tags.mark(&[&number.to_le_bytes()], token(number), UnixMs::new(number), None, 10_000);
    }
    tags.apply_floor(token(501), UnixMs::new(501), None);
    assert!(tags.len() >= 1000 - AT_ONCE && tags.has_garbage());
    while tags.free_slice() {}
    assert_eq!((tags.len(), tags.has_garbage()), (499, false));
    assert_eq!([500_u64, 501].map(|number| tags.moment(&number.to_le_bytes())), [501, 501].map(UnixMs::new));
    let entry = tagged(&mut tags, 499, &[b"another"]);
    assert!(entry.is_marked(tags.floor()));
}

#[test]
fn a_hard_purge_holds_though_the_floor_has_risen_over_its_tags_last_mark() {
    let mut tags = Tags::default();
    let entry = tagged(&mut tags, 5, &[b"b"]);
    tags.mark(&[b"b"], token(6), UnixMs::new(60), Some(0), 10);
    // Both at once: one of them is beyond what is kept, and the floor rises to the token of both.
    tags.mark(&[b"a", b"b"], token(9), UnixMs::new(90), None, 1);
    while tags.free_slice() {}
    assert_eq!((tags.len(), tags.has_news()), (0, true));
    assert_eq!(tags.judge(&entry).map(|judgement| judgement.served_until), Some(UnixMs::new(60)));
}
