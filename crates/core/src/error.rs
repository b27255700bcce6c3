//! Every sentence a client can be refused with. Outcomes that are normal (a lost lease, nothing there) are not here.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// An error as the documents tell it.
#[derive(Debug)]
pub struct Described {
    /// The sentence, with what is filled in between braces.
    pub sentence: &'static str,
    /// What its reader can do.
    pub remedy: &'static str,
}

macro_rules! errors {
    ($($(#[doc = $doc:literal])+ $name:ident $({ $($field:ident: $kind:ty),* })? => $sentence:literal, $remedy:literal;)*) => {
        /// Why a call was refused. A refused call has changed nothing, but for a fill that the server refuses to store.
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub enum Error {
            $($(#[doc = $doc])+ $name $({ $($field: $kind),* })?,)*
            /// The server's own words.
            Server(Arc<[u8]>),
        }

        impl Error {
            /// The error as it is sent: a stable code, a blank, a sentence. Free of line breaks and NUL.
            pub fn sentence(&self) -> String {
                match self {
                    $(Error::$name $({ $($field),* })? => format!($sentence),)*
                    Error::Server(line) => line_of(line),
                }
            }
        }

        /// Every error of ours, for the documents.
        pub static ERRORS: &[Described] = &[$(Described { sentence: $sentence, remedy: $remedy }),*];
    };
}

errors! {
    /// An option this command does not have.
    UnknownOption { given: String, allowed: String } =>
        "ERR syntax error: unknown option '{given}', allowed are {allowed}",
        "use one of these; a message or value of several words is one argument";
    /// An option given twice, or two that exclude each other.
    Doubled { option: &'static str } =>
        "ERR syntax error: only one {option} may be given",
        "decide for one";
    /// An option without its value.
    Incomplete { option: &'static str } =>
        "ERR syntax error: {option} needs a value",
        "add it";
    /// An option that says nothing without another.
    Needs { option: &'static str, needed: &'static str } =>
        "ERR syntax error: {option} needs {needed}",
        "a value that is fresh for ever has no window: give a soft deadline, too";
    /// A number that is none or out of range; `range` says what it must be.
    Range { name: &'static str, range: String } =>
        "ERR {name} must be {range}",
        "digits, no sign, no leading zero";
    /// A text over its limit, in bytes.
    TooLong { name: &'static str, limit: usize } =>
        "ERR {name} must be at most {limit} bytes long",
        "cut or hash it";
    /// A text that must not be empty.
    Empty { name: &'static str } =>
        "ERR {name} must not be empty",
        "leave it out";
    /// A list that does not match its count.
    Count { name: &'static str, of: &'static str, given: u64, found: usize } =>
        "ERR {name} must be the number of {of} that follow: it is {given}, and {found} words follow",
        "count them";
    /// A group's name that is none.
    GroupName { given: String } =>
        "ERR GROUP must be 1 to 64 of A-Z a-z 0-9 . _ : - and not 'other', which is reserved: it is '{given}'",
        "rename the group";
    /// TIED where there is no connection.
    TiedWithoutConnection =>
        "ERR TIED needs a connection: a script or another module's call has none",
        "leave TIED out";
    /// NOTIFY outside database 0.
    NotifyDatabase =>
        "ERR NOTIFY works in database 0 only: channels know no databases",
        "use database 0, or BLOCK";
    /// The key holds another type.
    WrongType =>
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "use another key, or DEL this one; OUTDATE needs an entry where there is a string";
    /// Granted and stored on the master only.
    ReadOnly =>
        "READONLY leases are granted on the master only: ask it, or use CACHE.GET here",
        "ask the master";
    /// The same in a cluster.
    Moved { slot: u16, host: String, port: u16 } =>
        "MOVED {slot} {host}:{port}",
        "ask that node; cluster clients do";
    /// The cluster is down.
    ClusterDown =>
        "CLUSTERDOWN The cluster is down",
        "later; hits are served where `cluster-allow-reads-when-down` allows reads";
    /// Clients are paused, in a transaction or script.
    Paused =>
        "TRYAGAIN clients are paused and nothing can be stored, ask again after the pause",
        "do not pause in the same transaction";
    /// A parked client may not read its key any more.
    NoPermission =>
        "NOPERM this user may no longer ask for this key: its permissions changed meanwhile",
        "it was parked: see who changed them";
    /// This server stopped being the master.
    Unblocked =>
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        "it was parked: ask the new master";
    /// The slot of a parked client's key moved away.
    TryAgain =>
        "TRYAGAIN the key's slot moved to another node while waiting, ask again",
        "it was parked: ask again, the answer is MOVED";
    /// A bug of ours.
    Internal =>
        "ERR internal error in Corral, see the server's log; the call may have taken effect or not, ask again",
        "ask again, and report the line of the log";
    /// A command for the master link and the AOF alone.
    InternalCommand =>
        "ERR CACHE.APPLY is internal: it is accepted from the master and the AOF only",
        "nobody needs to send it";
    /// CACHE.APPLY with a header that is none.
    Malformed { why: String } =>
        "ERR CACHE.APPLY: {why}",
        "a broken or foreign message on the replication link, where the replica stops: upgrade replicas before masters";
}

/// The server's own error as one line; a refusal without words is one of ours.
fn line_of(bytes: &[u8]) -> String {
    let line: String = bytes.iter().map(|byte| printable(*byte)).collect();
    match line.is_empty() {
        true => String::from("ERR the server refuses to write"),
        false => line,
    }
}

/// A client's bytes made fit for an error line or a log line: printable, and short.
pub fn legible(bytes: &[u8]) -> String {
    const LIMIT: usize = 64;
    let shown: String = bytes.iter().take(LIMIT).map(|byte| printable(*byte)).collect();
    match bytes.len() > LIMIT {
        true => shown + "...",
        false => shown,
    }
}

fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' {
        char::from(byte)
    } else {
        '?'
    }
}

/// The server's own words, as an error.
impl From<Vec<u8>> for Error {
    fn from(line: Vec<u8>) -> Self {
        Error::Server(line.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_never_carries_a_clients_control_characters() {
        let error = Error::UnknownOption { given: legible(b"a\r\n\0%s\xff"), allowed: "LEASE".into() };
        assert_eq!(error.sentence(), "ERR syntax error: unknown option 'a???%s?', allowed are LEASE");
        assert_eq!(Error::Server((*b"MISCONF a\r\nb").into()).sentence(), "MISCONF a??b");
    }
}
