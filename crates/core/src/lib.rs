#![no_std]
#![forbid(unsafe_code)]
//! What Corral decides, remembers and owes, without a server.
//!
//! One machine, [`node::Node`]: a request or an event goes in, with the moment, the chance and what the key holds as
//! arguments; a [`node::Step`] comes out that says what to reply, store, replicate, publish and release. Nothing here
//! reads a clock, opens a key or waits.
//!
//! ```text
//!            GETORLOCK                     FILL · SET · TOUCH
//!   vacant ────────────► leased ─────────────────────────────► fresh
//!     ▲                   │  ▲ ▲                                 │ soft deadline · INVALIDATE · a tag's mark
//!     │ lease + its       │  │ └─────────── GETORLOCK ────────── stale (SWR, SIE windows)
//!     │ length over       │  │ back-off over                     │ windows over
//!     └───────────────────┤  └── failing ◄── FAIL               vacant
//!                         └───── passing ◄── PASS
//! ```
//!
//! | room | what |
//! |---|---|
//! | [`time`], [`token`] | moments that saturate; numbers that only grow |
//! | [`freshness`], [`lease`], [`tag`], [`entry`] | what one key holds |
//! | [`codec`] | the bytes of an entry in RDB, AOF and on the replication link |
//! | [`request`], [`words`] | what a caller wants, and how its arguments are read |
//! | [`answer`], [`error`] | what it can be told |
//! | [`options`], [`fields`] | what can be said and what is shown, with what it means: the documents come from here |
//! | [`decision`] | what a caller of one key is told, decided step by step |
//! | [`settings`], [`policy`] | what operators set; groups |
//! | [`node`] | everything the module remembers on one server besides the entries |
//! | `trace` | what a node was told, written and replayed |

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

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod answer;
pub mod codec;
pub mod decision;
pub mod entry;
pub mod error;
pub mod fields;
pub mod freshness;
pub mod lease;
pub mod node;
pub mod options;
pub mod policy;
pub mod request;
pub mod settings;
pub mod steps;
pub mod tag;
pub mod time;
pub mod token;
#[cfg(feature = "trace")]
pub mod trace;
pub mod words;
