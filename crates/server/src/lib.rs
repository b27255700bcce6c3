//! What a server offers its modules, behind handles that are safe to use.
//!
//! The one crate with unsafe code, and the one user of the crate redis-module. It knows nothing of caches but the entry
//! type it is given: the module that is built on it implements [`Module`], and everything that comes in from the server
//! comes in there. What goes out to the server are methods of [`Context`].
//!
//! | file | what |
//! |---|---|
//! | [`module`] | the trait [`Module`]; loading |
//! | [`command`], [`command_info`], [`argv`] | registering commands, documenting them, reading their arguments |
//! | [`config`] | settings in CONFIG and redis.conf |
//! | [`data_type`], [`payload`] | the stored type; what is read from and written to RDB, AOF and digests |
//! | [`event`], [`timer`], [`info`] | what the server tells; timers; the module's section of INFO |
//! | [`blocked`] | parked clients |
//! | [`context`] | the running callback: flags, database, caller |
//! | [`key`], [`text`] | one opened key; keys that hold an ordinary string |
//! | [`reply`], [`kept`], [`call_reply`] | replies: written, kept ready, and those of calls of our own |
//! | [`effects`] | replication, WATCH and tracking, keyspace events, publishing |
//! | [`permission`] | whether the server would let a write, a key, a user pass |
//! | [`client`], [`cluster`], [`figures`], [`clock`], [`log`] | other clients; the cluster; INFO's figures; time and chance; the log |
//! | [`restores`] | clients' RESTOREs, kept out while a data set is loaded beside the one that is served |
//! | [`guard`] | no panic crosses to the server (and `faults`, in test builds, sees that it holds) |
//!
//! # For who implements [`Module`]
//!
//! * An entry is `Send`: FLUSHALL ASYNC and lazy frees drop it on another thread, where [`Module::panicked`] may be called
//!   too if its drop panics.
//! * [`Module::save`] prepares all it writes before its first string: after that a panic leaves a payload that cannot be
//!   read, before it [`Module::save_nothing`] writes what stands for the entry.
//! * [`Module::timer`] forgets its timer first. If it panics, [`Module::recover_timer`] must do so too.
//! * [`command::Spec`] says which version a command came `since` and which ACL categories it has besides (`acl`); `@write`
//!   follows from the key's access, as commands that change keys need not have the flag `write`.
//! * A `?` on [`Argv::word`] and [`Argv::key`] needs a `From<argv::Absent>` for the command's error.
//! * Clocks, chance and the log need no [`Context`]: they are functions of [`clock`] and [`log`].
//!
//! # Safety contract
//!
//! What makes these calls sound is the same everywhere, and each file adds only what is particular to it:
//!
//! 1. **One thread.** The server calls its modules on the main thread, with its lock held, and nothing here starts
//!    another. The one exception, `free` of the data type, touches only the entry it is given. (A fork child is the
//!    main thread of its own copy.)
//! 2. **Contexts do not outlive their callback.** [`Context`] is made from the pointer a callback was given, or is the
//!    [`OwnContext`] of one that was given none; neither has a public constructor, and it is handed out by reference.
//! 3. **Function pointers are filled in once**, by the server, before any of this runs. A missing one is a missing
//!    feature: `has!` asks, and `call!` panics into the guard rather than jumping to null.
//! 4. **Pointers given to the server are valid for the call.** Each is one that the server gave to the running callback,
//!    one that a value of ours owns (a string, a reply, a handle, an open key) and frees on drop, or one to a borrow or
//!    a literal that outlives the call; lengths are those of what they belong to. Where a call relies on more, the
//!    place says so.
//! 5. **One [`Module`] per library.** The first one loaded owns the data type; another finds no entries of its own.

#![deny(clippy::missing_safety_doc, clippy::unnecessary_safety_doc)]

#[macro_use]
mod api;
#[macro_use]
pub mod guard;

pub mod argv;
pub mod blocked;
pub mod call_reply;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod command;
pub mod command_info;
pub mod config;
pub mod context;
pub mod data_type;
pub mod effects;
pub mod event;
#[cfg(feature = "faults")]
pub mod faults;
pub mod figures;
pub mod info;
pub mod kept;
pub mod key;
pub mod log;
pub mod module;
pub mod payload;
pub mod permission;
pub mod reply;
pub mod restores;
pub mod text;
pub mod timer;

pub use argv::{Argv, KeyName};
pub use blocked::{Handle, Seat};
pub use context::{Context, Flags, OwnContext};
pub use event::Event;
pub use kept::Kept;
pub use key::{Holds, OpenKey};
pub use module::Module;
pub use permission::{Ownership, UserName};
