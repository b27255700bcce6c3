//! Every sentence a client can be refused with. Outcomes that are normal (a lost lease, nothing there) are not here.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Why a call was refused. A refused call has changed nothing, but for a fill that the server refuses to store.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Error {
    /// A bug of ours.
    Internal,
    /// An option this command does not have.
    UnknownOption { given: String, allowed: &'static str },
    /// An option given twice, or two that exclude each other.
    Doubled { option: &'static str },
    /// An option without its value.
    Incomplete { option: &'static str },
    /// A number that is none or out of range; `range` says what it must be.
    Range { name: &'static str, range: String },
    /// A text over its limit, in bytes.
    TooLong { name: &'static str, limit: usize },
    /// A text that must not be empty.
    Empty { name: &'static str },
    /// An option that says nothing without another.
    Needs { option: &'static str, needed: &'static str },
    /// A list that does not match its count.
    Count { name: &'static str, of: &'static str, given: u64, found: usize },
    /// A group's name that is none.
    GroupName { given: String },
    /// TIED where there is no connection.
    TiedWithoutConnection,
    /// NOTIFY outside database 0.
    NotifyDatabase,
    /// The key holds another type.
    WrongType,
    /// The server's own words.
    Server(Arc<[u8]>),
    /// Granted and stored on the master only.
    ReadOnly,
    /// The same in a cluster.
    Moved { slot: u16, host: String, port: u16 },
    /// The cluster is down.
    ClusterDown,
    /// Clients are paused, in a transaction or script.
    Paused,
    /// A parked client may not read its key any more.
    NoPermission,
    /// This server stopped being the master.
    Unblocked,
    /// The slot of a parked client's key moved away.
    TryAgain,
    /// A command for the master link and the AOF alone.
    InternalCommand,
    /// CACHE.APPLY with a header that is none.
    Malformed(String),
}

impl Error {
    /// The error as it is sent: a stable code, a blank, a sentence. Free of line breaks and NUL.
    pub fn sentence(&self) -> Cow<'static, str> {
        Cow::Owned(match self {
            Error::Internal => return Cow::Borrowed(
                "ERR internal error in Corral, see the server's log; the call may have taken effect or not, ask again",
            ),
            Error::UnknownOption { given, allowed } => {
                format!("ERR syntax error: unknown option '{given}', allowed are {allowed}")
            }
            Error::Doubled { option } => format!("ERR syntax error: only one {option} may be given"),
            Error::Incomplete { option } => format!("ERR syntax error: {option} needs a value"),
            Error::Range { name, range } => format!("ERR {name} must be {range}"),
            Error::TooLong { name, limit } => format!("ERR {name} must be at most {limit} bytes long"),
            Error::Empty { name } => format!("ERR {name} must not be empty"),
            Error::Needs { option, needed } => format!("ERR syntax error: {option} needs {needed}"),
            Error::Count { name, of, given, found } => {
                format!("ERR {name} must be the number of {of} that follow: it is {given}, and {found} words follow")
            }
            Error::GroupName { given } => {
                format!("ERR GROUP must be 1 to 64 of A-Z a-z 0-9 . _ : - and not 'other', which is reserved: it is '{given}'")
            }
            Error::TiedWithoutConnection => {
                return Cow::Borrowed("ERR TIED needs a connection: a script or another module's call has none")
            }
            Error::NotifyDatabase => {
                return Cow::Borrowed("ERR NOTIFY works in database 0 only: channels know no databases")
            }
            Error::WrongType => {
                return Cow::Borrowed("WRONGTYPE Operation against a key holding the wrong kind of value")
            }
            Error::Server(line) => line_of(line),
            Error::ReadOnly => {
                return Cow::Borrowed("READONLY leases are granted on the master only: ask it, or use CACHE.GET here")
            }
            Error::Moved { slot, host, port } => format!("MOVED {slot} {host}:{port}"),
            Error::ClusterDown => return Cow::Borrowed("CLUSTERDOWN The cluster is down"),
            Error::Paused => {
                return Cow::Borrowed(
                    "TRYAGAIN clients are paused and nothing can be stored, ask again after the pause",
                )
            }
            Error::NoPermission => {
                return Cow::Borrowed(
                    "NOPERM this user may no longer ask for this key: its permissions changed meanwhile",
                )
            }
            Error::Unblocked => {
                return Cow::Borrowed(
                    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
                )
            }
            Error::TryAgain => {
                return Cow::Borrowed("TRYAGAIN the key's slot moved to another node while waiting, ask again")
            }
            Error::InternalCommand => {
                return Cow::Borrowed("ERR CACHE.APPLY is internal: it is accepted from the master and the AOF only")
            }
            Error::Malformed(why) => format!("ERR CACHE.APPLY: {why}"),
        })
    }
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
        let error = Error::UnknownOption { given: legible(b"a\r\n\0%s\xff"), allowed: "LEASE" };
        assert_eq!(error.sentence(), "ERR syntax error: unknown option 'a???%s?', allowed are LEASE");
        assert_eq!(Error::Server((*b"MISCONF a\r\nb").into()).sentence(), "MISCONF a??b");
    }
}
