//! What was measured: docs/figures.txt, which the lab writes (`make figures`). A section `## NAME` holds lines
//! `key = value` that say where and when, and a table of Markdown with its note.

use std::path::Path;

use anyhow::{Context, Result};

pub(crate) struct Figures(String);

/// One section.
pub(crate) struct Section<'a>(&'a str);

impl Figures {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Ok(Self(format!("\n{text}")))
    }

    pub(crate) fn section(&self, name: &str) -> Result<Section<'_>> {
        let (_, rest) = self.0.split_once(&format!("\n## {name}\n")).with_context(|| format!("no figures {name:?}"))?;
        Ok(Section(rest.split_once("\n## ").map_or(rest, |(section, _)| section)))
    }

    /// One table, and under it the run that it is of.
    pub(crate) fn table(&self, name: &str) -> Result<String> {
        let section = self.section(name)?;
        let (_, table) = section.0.split_once("\n\n").with_context(|| format!("the figures {name:?} have no table"))?;
        Ok(format!("{}\n\n<sub>{}.</sub>\n", table.trim(), section.run()?))
    }
}

impl Section<'_> {
    /// Where and when.
    pub(crate) fn run(&self) -> Result<String> {
        Ok(format!("{}, {}, {}", self.fact("server")?, self.fact("date")?, self.fact("machine")?))
    }

    /// The same in short, for a picture.
    pub(crate) fn when(&self) -> Result<String> {
        Ok(format!("A run of {} on {}, linear axes", self.fact("date")?, self.fact("server")?))
    }

    /// The cells of the table's rows.
    pub(crate) fn rows(&self) -> Vec<Vec<&str>> {
        let rows = self.0.lines().filter(|line| line.starts_with('|')).skip(2);
        rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
    }

    /// The number that the note under the table begins with.
    pub(crate) fn note_number(&self) -> Result<&str> {
        let note = self.0.lines().rev().find(|line| line.starts_with(|first: char| first.is_ascii_digit()));
        note.and_then(|note| note.split(' ').next()).context("the figures' note begins with no number")
    }

    fn fact(&self, key: &str) -> Result<&str> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        line.with_context(|| format!("the figures do not say their {key}"))
    }
}
