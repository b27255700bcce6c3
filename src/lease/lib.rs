//! What a key, a lease and a waiting room are, and every decision about them.
//!
//! This crate is pure: time and randomness come in as arguments, replies and effects go out as values. There is no
//! server, no clock, no static and no unsafe code here, so every rule can be proved in microseconds.
//!
//! ```text
//!            GETORLOCK                     FILL · SET · TOUCH
//!   vacant ────────────► leased ─────────────────────────────► fresh
//!     ▲                   │  ▲ ▲                                 │ soft deadline
//!     │ lease + its       │  │ └─────────── GETORLOCK ────────── stale (SWR, SIE windows)
//!     │ length over       │  │ back-off over                     │ windows over
//!     └───────────────────┤  └── failing ◄── FAIL               vacant
//!                         └───── passing ◄── PASS
//! ```
//!
//! | room | what |
//! |---|---|
//! | [`time`], [`token`] | moments that saturate; numbers that only grow |
//! | [`freshness`] | soft deadline, SWR and SIE windows, jitter |
//! | [`ask`] | what a caller wants, what it can be answered |
//! | [`entry`] | what one key holds |
//! | [`decision`] | what a caller is told |
//! | [`room`] | who waits |
//! | [`key`] | grant, handover, *advance*; the shape of a step |
//! | [`rebuild`] | fill, set, touch, fail, pass, renew, invalidate |
//! | [`codec`] | the bytes of an entry in RDB, AOF and on the replication link |

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test fails by panicking"
    )
)]

pub mod ask;
pub mod codec;
pub mod decision;
pub mod entry;
pub mod freshness;
pub mod key;
pub mod rebuild;
pub mod room;
pub mod time;
pub mod token;
