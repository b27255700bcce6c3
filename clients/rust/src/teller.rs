use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Duration;

use crate::building;
use crate::options::{Event, Hook};

/// Tells the hook what has happened.
#[derive(Clone)]
pub(crate) struct Teller(pub Option<Hook>);

impl Teller {
    pub(crate) fn tell(&self, name: &'static str, key: &[u8]) {
        self.say(name, key, None, None);
    }

    pub(crate) fn took(&self, name: &'static str, key: &[u8], took: Duration) {
        self.say(name, key, Some(took), None);
    }

    pub(crate) fn failed(&self, name: &'static str, key: &[u8], error: String) {
        self.say(name, key, None, Some(error));
    }

    pub(crate) fn build_failed(&self, key: &[u8], took: Duration, error: &str) {
        self.say("failed", key, Some(took), Some(error.to_owned()));
    }

    fn say(&self, name: &'static str, key: &[u8], took: Option<Duration>, error: Option<String>) {
        if let Some(hook) = &self.0 {
            let event = Event { name, key: String::from_utf8_lossy(key).into_owned(), took, error };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| hook(event))) {
                log::error!("`on_event` panicked, told of {name}: {}", building::text_of(&panic));
            }
        }
    }
}
