//! CONFIG: the module's settings, and those of the server's that decide whether it writes and tells.

use corral_core::error::Error;
use corral_core::node::{Parking, Writes};
use corral_core::policy;
use corral_core::settings::{Kind, Setting};
use corral_testkit::Reply;

use super::commands::{said, Call};
use super::connection::{ok, text};
use super::stage::NodeStage;

/// What is set besides the node's own settings.
#[derive(Clone, Default)]
pub struct Config {
    groups: Vec<u8>,
    /// `notify-keyspace-events`.
    pub notified: Vec<u8>,
    min_replicas_to_write: u64,
    maxmemory: u64,
}

/// The server's own sentences, as the module is given them when it asks.
pub const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";
pub const NOREPLICAS: &str = "NOREPLICAS Not enough good replicas to write.";

/// Less than any server uses: so much of `maxmemory` is full from the first byte on, and nothing can be evicted.
const FULL_BELOW_BYTES: u64 = 1 << 20;

impl Config {
    pub fn is_full(&self) -> bool {
        (1..FULL_BELOW_BYTES).contains(&self.maxmemory)
    }

    /// There are none on this stage.
    pub fn lacks_replicas(&self) -> bool {
        self.min_replicas_to_write > 0
    }

    /// What the node is told if it asks whether it may write.
    fn writes(&self) -> Writes {
        match (self.is_full(), self.lacks_replicas()) {
            (true, _) => Writes::OutOfMemory(OOM.as_bytes().into()),
            (_, true) => Writes::Refused(NOREPLICAS.as_bytes().into()),
            _ => Writes::Allowed,
        }
    }

    /// What it is told if it asks whether a client can be parked.
    pub fn parking(&self) -> Parking {
        match self.is_full() {
            true => Parking::Memory,
            false => Parking::Possible,
        }
    }
}

pub fn config(stage: &mut NodeStage, call: Call) -> Result<Option<Reply>, Error> {
    let (subcommand, arguments) = (call.arguments[0], &call.arguments[1..]);
    match subcommand.to_ascii_uppercase().as_slice() {
        b"GET" => {
            let found = arguments.iter().filter_map(|name| Some([text(name), text(shown(stage, name)?)]));
            Ok(Some(Reply::List(found.flatten().collect())))
        }
        b"SET" if arguments.len() % 2 == 0 => set(stage, arguments).map(|()| Some(ok())),
        _ => Err(said("ERR this stage knows CONFIG GET and CONFIG SET alone")),
    }
}

fn shown(stage: &NodeStage, name: &[u8]) -> Option<String> {
    let config = &stage.config;
    let own = |setting: &'static Setting| match setting.kind {
        Kind::Groups => policy::shown(&config.groups),
        _ => stage.world.node.settings.text(setting),
    };
    match name {
        b"notify-keyspace-events" => Some(policy::shown(&config.notified)),
        b"min-replicas-to-write" => Some(config.min_replicas_to_write.to_string()),
        b"maxmemory" => Some(config.maxmemory.to_string()),
        _ => name.strip_prefix(b"corral.").and_then(Setting::named).map(own),
    }
}

/// All of them or none.
fn set(stage: &mut NodeStage, pairs: &[&[u8]]) -> Result<(), Error> {
    let (mut config, mut settings) = (stage.config.clone(), stage.world.node.settings.clone());
    let mut is_ours = false;
    for pair in pairs.chunks(2) {
        let (name, value) = (pair[0], pair[1]);
        let refused = |why: String| {
            let name = String::from_utf8_lossy(name);
            said(&format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
        };
        let number = || {
            let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            number.ok_or_else(|| refused("argument must be a number".to_owned()))
        };
        match name {
            b"notify-keyspace-events" => config.notified = value.to_vec(),
            b"min-replicas-to-write" => config.min_replicas_to_write = number()?,
            b"maxmemory" => config.maxmemory = number()?,
            _ => {
                let setting = name.strip_prefix(b"corral.").and_then(Setting::named);
                let setting = setting.ok_or_else(|| refused("this stage does not know it".to_owned()))?;
                is_ours = true;
                match setting.kind {
                    Kind::Groups => {
                        policy::parse(value, settings.lease_max_ms).map_err(refused)?;
                        config.groups = value.to_vec();
                    }
                    _ => settings.set(setting, value).map_err(refused)?,
                }
            }
        }
    }
    if is_ours {
        let refused = |why: String| said(&format!("ERR CONFIG SET failed - {why}"));
        settings.check().map_err(refused)?;
        let policies = policy::parse(&config.groups, settings.lease_max_ms).map_err(refused)?;
        stage.world.node.configure(settings);
        stage.world.node.configure_groups(&policies);
        stage.world.policies = policies;
    }
    stage.world.server.writes = config.writes();
    stage.world.server.parking = config.parking();
    stage.config = config;
    Ok(())
}
