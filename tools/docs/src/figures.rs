//! What was measured: docs/figures.txt, which the benchmark writes (`make bench ARGS="--full --figures docs/figures.txt"`).
//!
//! A line `key = value` says where and when, a line `## NAME` begins a table, whose rows follow as Markdown.

use std::path::Path;

use anyhow::{Context, Result};

pub(crate) struct Figures(String);

impl Figures {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Ok(Self(std::fs::read_to_string(path).with_context(|| path.display().to_string())?))
    }

    /// One table, and under it the run that it is of.
    pub(crate) fn table(&self, name: &str) -> Result<String> {
        let heading = format!("## {name}");
        let mut lines = self.0.lines().skip_while(|line| *line != heading);
        lines.next().with_context(|| format!("docs/figures.txt has no table {name:?}"))?;
        let table: Vec<&str> = lines.take_while(|line| !line.starts_with("## ")).collect();
        Ok(format!("{}\n\n{}\n", table.join("\n").trim(), self.run()?))
    }

    fn run(&self) -> Result<String> {
        let [server, date, machine] = ["server", "date", "machine"].map(|key| self.fact(key));
        Ok(format!("<sub>{}, {}, {}.</sub>", server?, date?, machine?))
    }

    fn fact(&self, key: &str) -> Result<&str> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        line.with_context(|| format!("docs/figures.txt does not say its {key}"))
    }
}
