//! What the terminal shows while the demo runs. Where there is no terminal the bars keep silent,
//! and the lines that close each step are still printed.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::ledger::Ledger;
use crate::options::Setting;

/// A line that turns while something is prepared.
pub(crate) struct Step(ProgressBar);

/// The bar of one run: one stroke per expiry.
pub(crate) struct RunBar {
    bar: ProgressBar,
    setting: Setting,
}

impl Step {
    pub(crate) fn begin(what: String) -> Self {
        let bar = ProgressBar::new_spinner().with_message(what);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    pub(crate) fn tell(&self, what: String) {
        self.0.set_message(what);
    }

    pub(crate) fn end(self, summary: &str) {
        self.0.finish_and_clear();
        println!("{summary}");
    }
}

impl RunBar {
    pub(crate) fn begin(title: &str, setting: Setting) -> Self {
        println!("{title}");
        let bar = ProgressBar::new(setting.expiries as u64);
        // The template is a constant; were it wrong, the default bar would do.
        if let Ok(style) = ProgressStyle::with_template("    {bar:10} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self { bar, setting }
    }

    pub(crate) fn show(&self, ledger: &Ledger) {
        let expiries = ledger.expiries().len().min(self.setting.expiries);
        self.bar.set_position(expiries as u64);
        let stage = if ledger.is_stopping() {
            "the last answers".to_owned()
        } else {
            format!("expiry {expiries} of {}", self.setting.expiries)
        };
        self.bar.set_message(format!(
            "{stage}, {} s: {} queries at once, {} so far; {} requests",
            ledger.now().as_secs(),
            ledger.in_flight(),
            ledger.queries(),
            ledger.requests(),
        ));
    }

    pub(crate) fn end(self, summary: &str) {
        self.bar.finish_and_clear();
        println!("{summary}");
    }
}

const TICK: Duration = Duration::from_millis(120);
