//! The settings in the server's CONFIG, and as arguments of loadmodule.
//!
//! What is set lies here until it is applied: the server sets several one by one and has them checked together.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use corral_core::policy;
use corral_core::settings::{Kind, Setting, Settings, SETTINGS};
use corral_server::config::{self, Shape, Value};
use corral_server::{Argv, Context};
use lazy_static::lazy_static;

use crate::memory;
use crate::module::Corral;

/// One setting as the server knows it.
struct Registered {
    setting: &'static Setting,
    name: CString,
}

/// What was set, applied or not yet.
#[derive(Default)]
struct Wanted {
    settings: Settings,
    groups: Vec<u8>,
}

lazy_static! {
    static ref WANTED: Mutex<Wanted> = Mutex::new(Wanted::default());
}
static REGISTERED: OnceLock<Vec<Registered>> = OnceLock::new();

/// For hits, which do not come to the node: the defaults that a call without options is decided by.
static EARLY_BETA: AtomicU64 = AtomicU64::new(0);
static LEASE_MAX_MS: AtomicU64 = AtomicU64::new(0);

pub fn early_beta() -> f64 {
    f64::from_bits(EARLY_BETA.load(Relaxed))
}

pub fn lease_max_ms() -> u64 {
    LEASE_MAX_MS.load(Relaxed)
}

fn wanted() -> MutexGuard<'static, Wanted> {
    WANTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registers every setting with the server and takes over its configuration file. Arguments first: they are the
/// defaults that CONFIG REWRITE compares with.
pub fn register(context: &Context, arguments: Argv) -> Result<(), String> {
    take_arguments(arguments)?;
    let registered = REGISTERED.get_or_init(|| {
        // No setting's name holds a NUL.
        let named =
            |setting: &'static Setting| CString::new(setting.name).ok().map(|name| Registered { setting, name });
        SETTINGS.iter().filter_map(named).collect()
    });
    for setting in registered {
        config::register::<Corral>(context, setting)?;
    }
    if !config::load(context) {
        return Err("the server declined the settings".to_owned());
    }
    // Not called by the server at load: both ends are known only now.
    check_and_apply()
}

/// Settings that exclude each other are refused together; what is in order is in force from here.
pub fn check_and_apply() -> Result<(), String> {
    let wanted = wanted();
    wanted.settings.check()?;
    let policies = policy::parse(&wanted.groups, wanted.settings.lease_max_ms)?;
    EARLY_BETA.store(wanted.settings.early_beta.to_bits(), Relaxed);
    LEASE_MAX_MS.store(wanted.settings.lease_max_ms, Relaxed);
    memory::with(|memory| {
        memory.node.configure(wanted.settings.clone());
        memory.node.configure_groups(&policies);
    });
    Ok(())
}

fn take_arguments(arguments: Argv) -> Result<(), String> {
    let mut wanted = wanted();
    let mut arguments = arguments.from(0);
    while let Some(name) = arguments.next() {
        let shown = String::from_utf8_lossy(name).into_owned();
        let value = arguments.next().ok_or_else(|| format!("the argument {shown} needs a value"))?;
        let name = name.strip_prefix(b"corral.").unwrap_or(name);
        let setting =
            Setting::named(name).ok_or_else(|| format!("there is no setting {shown}, allowed are {}", names()))?;
        if setting.kind == Kind::Groups {
            // CONFIG REWRITE would write it without quotes, and the server would not start again.
            return Err("groups are set in redis.conf or by CONFIG SET, not as an argument of loadmodule".to_owned());
        }
        wanted.settings.set(setting, value)?;
    }
    Ok(())
}

/// Every name that can be an argument, for who gives another.
fn names() -> String {
    let names = SETTINGS.iter().filter(|setting| setting.kind != Kind::Groups).map(|setting| setting.name);
    names.collect::<Vec<_>>().join(", ")
}

impl config::Setting for Registered {
    fn name(&self) -> &'static CStr {
        // Registered once, and never dropped.
        REGISTERED
            .get()
            .and_then(|all| all.iter().find(|other| std::ptr::eq(other.setting, self.setting)))
            .map_or(c"", |other| other.name.as_c_str())
    }

    fn shape(&self) -> Shape {
        match self.setting.kind {
            Kind::Number { least, most, .. } => Shape::Number { min: signed(least), max: signed(most) },
            Kind::Flag { .. } => Shape::Flag,
            Kind::Decimal { .. } | Kind::Groups => Shape::Text,
        }
    }

    fn get(&self) -> Value<'_> {
        let wanted = wanted();
        match self.setting.kind {
            Kind::Number { .. } => Value::Number(signed(wanted.settings.number(self.setting.name).unwrap_or(0))),
            Kind::Flag { .. } => Value::Flag(wanted.settings.flag(self.setting.name).unwrap_or(false)),
            Kind::Decimal { .. } => Value::Text(Cow::Owned(wanted.settings.text(self.setting).into_bytes())),
            Kind::Groups => Value::Text(Cow::Owned(wanted.groups.clone())),
        }
    }

    fn set(&self, value: Value<'_>) -> Result<(), String> {
        let mut wanted = wanted();
        match value {
            Value::Number(number) => wanted.settings.set(self.setting, number.to_string().as_bytes()),
            Value::Flag(flag) => wanted.settings.set(self.setting, if flag { b"yes" } else { b"no" }),
            Value::Text(text) if self.setting.kind == Kind::Groups => {
                policy::parse(&text, wanted.settings.lease_max_ms)?;
                wanted.groups = text.into_owned();
                Ok(())
            }
            Value::Text(text) => wanted.settings.set(self.setting, &text),
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
