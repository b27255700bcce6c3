//! The connection to the server. A lost one is made anew at the next reading.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::{Client, Connection, ErrorKind, RedisError};

use crate::reading::{self, Reading};

pub(crate) struct Source {
    client: Client,
    connection: Option<Connection>,
}

/// Why there is nothing to show, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    NoModule,
    NeedsPassword,
    WrongPassword,
    /// The server's own words.
    NotAllowed(String),
    Unreachable(String),
}

impl Source {
    pub(crate) fn new(url: &str) -> Result<Self> {
        // The URL is not repeated: it may hold a password.
        let client = Client::open(url).context("the URL must be like redis://USER:PASSWORD@HOST:PORT")?;
        Ok(Self { client, connection: None })
    }

    /// Where the server is, without the password.
    pub(crate) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    pub(crate) fn read(&mut self) -> Result<Reading, Trouble> {
        let outcome = self.ask();
        if matches!(outcome, Err(Trouble::Unreachable(_))) {
            self.connection = None;
        }
        outcome
    }

    fn ask(&mut self) -> Result<Reading, Trouble> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.client)?),
        };
        let corral: String = redis::cmd("INFO").arg("corral").query(connection)?;
        if !Reading::new(&corral, None).has_module() {
            return Err(Trouble::NoModule);
        }
        let server: String = redis::cmd("INFO").arg("server").query(connection)?;
        let leases = match redis::cmd("CACHE.LEASES").arg("COUNT").arg(MOST_LEASES).query(connection) {
            Ok(reply) => Some(reading::leases(&reply)),
            Err(error) if error.code() == Some("NOPERM") => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Reading::new(&format!("{corral}\n{server}"), leases))
    }
}

fn connect(client: &Client) -> Result<Connection, RedisError> {
    let connection = client.get_connection_with_timeout(PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(connection)
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        match (error.kind(), error.code()) {
            (_, Some("NOAUTH")) => Self::NeedsPassword,
            (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS")) => Self::WrongPassword,
            (_, Some("NOPERM")) => Self::NotAllowed(error.detail().unwrap_or("NOPERM").to_owned()),
            _ => Self::Unreachable(error.to_string()),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoModule => f.write_str(
                "this server does not have the Corral module. Start it with --loadmodule /path/to/libcorral.so",
            ),
            Self::NeedsPassword => f.write_str(
                "this server wants a password: redis://:PASSWORD@HOST:PORT or redis://USER:PASSWORD@HOST:PORT",
            ),
            Self::WrongPassword => f.write_str("the server refuses this user name or password"),
            Self::NotAllowed(words) => {
                write!(f, "the server does not allow this user to look ({words}). It needs +info +cache.leases")
            }
            Self::Unreachable(why) => write!(f, "no answer from the server ({why})"),
        }
    }
}

/// A list longer than any screen is not worth the server's time.
const MOST_LEASES: u32 = 200;
/// Keys are not seen for as long as the server is silent.
const PATIENCE: Duration = Duration::from_secs(2);
