//! Arbitrary bytes as what a master sends: an error, or something that is written back with the same meaning. No panic,
//! and no allocation beyond what the bytes themselves could hold.

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use corral_core::codec::{self, Effect, Header, MarksRecord, ValuePart, HEADER_LIMIT};
use corral_core::node::tags::Tags;
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a byte of tags or a mark can take in memory: a pointer and two counts beside its name.
const BYTES_PER_BYTE: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let before = ALLOCATED.get();
    let effect = codec::decode_effect(bytes);
    let allocated = ALLOCATED.get() - before;
    let limit = HEADER_LIMIT + BYTES_PER_BYTE * bytes.len();
    assert!(allocated <= limit, "{allocated} bytes were allocated for {}", bytes.len());
    match effect {
        Ok(Effect::Entry(header)) => entry(header),
        Ok(Effect::Marks(record)) => marks(&record),
        Ok(Effect::Removal) => assert!(matches!(codec::decode_effect(&codec::encode_removal()), Ok(Effect::Removal))),
        Err(_) => {}
    }
    // In an RDB there are entries alone, of the first version and the second.
    if let Ok(header) = codec::decode(bytes) {
        entry(header);
    }
});

fn entry(header: Header) {
    let mut tags = Tags::default();
    let (part, expire_at) = (header.value, header.expire_at);
    let value = (part != ValuePart::Absent).then(|| Arc::from(&b"value"[..]));
    let entry = header.into_entry(value.clone(), &mut tags);
    let written = codec::encode(&entry, part, expire_at);
    assert!(written.len() <= HEADER_LIMIT);
    // Numbers can be written in more bytes than they need, so it is what was written that must come back as it is.
    let again = codec::decode(&written).expect("what was written is read").into_entry(value, &mut tags);
    assert_eq!(again, entry);
    assert_eq!(codec::encode(&again, part, expire_at), written);
}

fn marks(record: &MarksRecord) {
    let written = codec::encode_marks(record);
    match codec::decode_effect(&written) {
        Ok(Effect::Marks(again)) => assert_eq!(again, *record),
        other => panic!("{other:?} instead of {record:?}"),
    }
}

/// The system's allocator, and how much this thread has asked it for.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does all of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATED.try_with(|allocated| allocated.set(allocated.get() + layout.size()));
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        System.dealloc(pointer, layout);
    }
}
