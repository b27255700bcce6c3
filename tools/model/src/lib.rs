//! A model check of the rules that always hold (docs/proof.md lists them). The model drives the node itself, in every
//! order that clients, the timer, the clock and a failover can find; it contains no second node, only a book of what can
//! be seen from outside.
//!
//! | room | what |
//! |---|---|
//! | [`run`] | how many clients and keys, and what they may do: one search each |
//! | [`act`] | everything that can happen next |
//! | [`world`] | the server, its clients and its clock |
//! | [`shell`] | what the module's shell does |
//! | [`asking`], [`answers`], [`grants`] | who asks, what it is told, who is granted a lease |
//! | [`verdicts`], [`others`] | what holders say, and what others do |
//! | [`connections`], [`ahead`] | who closes; what becomes of everything if all fall silent |
//! | [`replica`] | who takes over; a server started again |
//! | [`book`], [`check`] | what was granted, who waits and for whom, as told from outside; what breaks a rule |
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
pub mod ahead;
pub mod answers;
pub mod asking;
pub mod book;
pub mod check;
pub mod connections;
pub mod fingerprint;
pub mod grants;
pub mod others;
pub mod replica;
pub mod run;
pub mod search;
pub mod shell;
pub mod verdicts;
pub mod world;
