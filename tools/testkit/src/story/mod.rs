//! Stories: what clients say and what they are answered, as text that can be read without knowing a line of Rust. They
//! are played on a [`Stage`]: a real server in real time, or anything else that can take commands and let time pass.
//!
//! ```text
//! # A comment stands on a line of its own.
//! story who_asks_while_another_rebuilds_waits
//! a: CACHE.GETORLOCK page LEASE 60000
//! b: CACHE.GETORLOCK page BLOCK 0
//! a: CACHE.FILL page <t> html PX 60000
//! ----
//! a: [LOCK nil <token t>]
//! b: parked
//! a: OK
//! b: [HIT "html" <ms 1..60000>]
//! ```
//!
//! A story begins with nothing stored and every setting at its default. It is a list of scenes, separated by blank
//! lines; the first begins with `story NAME`, the others with `then`. Above `----` stands what is done:
//!
//! | line | |
//! |---|---|
//! | `a: COMMAND WORD …` | client a sends a command. A word in double quotes may have blanks and `\r \n \0 \" \\ \xNN` in it |
//! | `eventually a: COMMAND …` | again and again, until the reply is the one expected: how time passes without counting it |
//! | `wait 100` | 100 ms go by |
//! | `at 500` | until 500 ms after the story began (at once, if that was before) |
//! | `gone a` | a's connection closes |
//!
//! Below it, one line for each command, in their order; and one for each reply or message that comes later, to a client
//! that was parked or has subscribed. Such a line stands after the line of what led to it; among themselves those of
//! several clients may come in any order. (A subscriber's message after which it calls again ends its scene.) By the end of its scene everything below `----` must have come, and nothing
//! else. `parked` says that there is no reply yet. `each: REPLY` alone answers every command of its scene.
//!
//! Replies are written `OK`, `nil`, `5`, `"bulk"`, `-ERR …`, `[a b c]`, `{name: value}`; the state words of triples stand
//! bare. In them:
//!
//! | | |
//! |---|---|
//! | `<token t>` | a token, larger than every one that this story has seen before unless it is `<t>` itself; from here on `<t>` stands for it, in commands too |
//! | `<ms 1..50>`, `<ms 1..>` | a number within these bounds |
//! | `...` | anything |
//!
//! In commands, `<now-50>` and `<now+50>` are unix milliseconds, and `<bytes 1025>` is a word that long.
//!
//! Lines right below `story NAME` say what it takes: `needs cache.getorlock notify` is a text that CACHE.VERSION must
//! list among its commands or options, `needs scripts` is a story in which Lua does more than return one call. A stage that
//! does not offer it skips the story, and says so. There are two: a server ([`ServerStage`]), and the core's node in a
//! world without one (`crates/core/tests/stories`).

mod pairing;
mod pattern;
mod play;
#[cfg(test)]
mod play_tests;
mod row;
mod script;
#[cfg(feature = "client")]
mod server_stage;
mod shown;
mod told;
mod words;

pub use pairing::check;
pub use pattern::fits;
pub use play::{play, Failure};
pub use row::{rows, Row};
pub use script::{read, Line, Scene, Story};
#[cfg(feature = "client")]
pub use server_stage::ServerStage;
pub use shown::shown;
pub use told::Told;
pub use words::words;

use crate::Reply;

/// Where a story is played.
pub trait Stage {
    /// Begins a story: nothing is stored, every setting is as it was at first, and no client is known.
    fn begin(&mut self);

    /// Whether a story can be played that takes this.
    fn offers(&mut self, need: &str) -> bool;

    /// Sends a command; a client that was not heard of before connects first.
    fn send(&mut self, client: &str, words: &[Vec<u8>]);

    /// The client's next reply or message. Waits for it: a stage with a clock of its own lets time pass until it comes, for
    /// a while. `None` if it does not come.
    fn reply(&mut self, client: &str) -> Option<Reply>;

    /// Whether something can be read now, without waiting for it.
    fn has_reply(&mut self, client: &str) -> bool;

    /// Whether the command that the client has sent is parked.
    fn is_parked(&mut self, client: &str) -> bool;

    /// The client's connection closes.
    fn hang_up(&mut self, client: &str);

    fn advance_ms(&mut self, ms: u64);

    /// Milliseconds since the epoch, as the stage has them.
    fn now_ms(&self) -> u64;
}

/// Whether messages come unasked after this command.
fn subscribes(name: &[u8], words: &[Vec<u8>]) -> bool {
    name.ends_with(b"SUBSCRIBE")
        || (name == b"CLIENT" && words.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"TRACKING")))
}
