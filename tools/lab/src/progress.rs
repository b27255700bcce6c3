//! The terminal while something runs. Where there is none the line keeps silent, and what closes each step is still
//! printed.

use std::time::Duration;

use indicatif::ProgressBar;

pub(crate) struct Progress {
    bar: ProgressBar,
    part: String,
}

impl Progress {
    pub(crate) fn begin(part: &str) -> Self {
        println!("\n{}{part}", if part.is_empty() { "" } else { "==> " });
        let bar = ProgressBar::new_spinner().with_message(part.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, part: part.to_owned() }
    }

    pub(crate) fn tell(&self, what: &str) {
        self.bar.set_message(format!("{}: {what}", self.part));
    }

    pub(crate) fn end(self, summary: &str) {
        self.bar.finish_and_clear();
        println!("    {summary}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
