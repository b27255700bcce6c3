//! A model check of the rules that always hold (docs/proof.md lists them). The model drives the core itself, in every
//! order that clients, the scheduler, the clock and a failover can find; it contains no second core, only a book of what
//! can be seen from outside.
//!
//! | room | what |
//! |---|---|
//! | [`run`] | how many clients and keys, and what they may do: one search each |
//! | [`act`] | everything that can happen next |
//! | [`world`] | the server, its clients and its replica; what an act leads to |
//! | [`observation`] | one step of the core, held against what was expected of it |
//! | [`book`] | what was granted, who waits and for whom, as told from outside; what breaks a rule |
//! | [`fingerprint`] | which states are the same |
//! | [`search`] | the properties, and the search |

#![forbid(unsafe_code)]

/// An enum whose variants have the names that properties, documents and tests know them by.
macro_rules! named {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$about])* $variant,)* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

pub mod act;
pub mod book;
pub mod fingerprint;
pub mod observation;
pub mod run;
pub mod search;
pub mod world;
