//! Arbitrary bytes as a header: an error, or an entry that is written back to a header with the same meaning. No panic,
//! and no allocation beyond what the bytes themselves could hold.

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use corral_lease::codec::{decode, encode, ValuePart, HEADER_LIMIT};
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fuzz_target!(|bytes: &[u8]| {
    let before = ALLOCATED.get();
    let header = decode(bytes);
    let allocated = ALLOCATED.get() - before;
    assert!(allocated <= HEADER_LIMIT + bytes.len(), "{allocated} bytes were allocated for {}", bytes.len());

    let Ok(header) = header else { return };
    let (part, expire_at) = (header.value, header.expire_at);
    let value = (part != ValuePart::Absent).then(|| Arc::from(&b"value"[..]));
    let entry = header.into_entry(value.clone());
    let written = encode(&entry, part, expire_at);
    assert!(written.len() <= HEADER_LIMIT);
    // Numbers can be written in more bytes than they need, so it is what was written that must come back as it is.
    let again = decode(&written).expect("what was written is read").into_entry(value);
    assert_eq!(again, entry);
    assert_eq!(encode(&again, part, expire_at), written);
});

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
