//! What the documents and the code both state is written here from the code into the documents, between markers:
//!
//! ```text
//! <!-- make docs: settings -->
//! ...
//! <!-- /make docs -->
//! ```
//!
//! The core defines options, settings, errors, states and fields; what a command is, the server is asked (COMMAND DOCS),
//! as the definition lies beside the command; measured figures come from the file that the benchmark writes. A test says
//! that what is committed is what is written here.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a tool of this repository's alone: it stops where the documents and the code do not fit"
)]

mod commands; // what the server says of each
mod curves; // the cold start's picture
mod figures; // what was measured
mod picture; // README's
mod session; // the same session, as it happens
mod tables; // what the core defines

use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use corral_testkit::Client;

use commands::Commands;
use figures::Figures;

/// The files with markers.
const FILES: [&str; 8] = [
    "README.md",
    "redis.conf",
    "docs/commands.md",
    "docs/errors.md",
    "docs/operations.md",
    "docs/performance.md",
    "docs/scale.md",
    "docs/settings.md",
];

/// Every file with markers, and every picture, as it should be.
pub fn written(root: &Path, client: &mut Client) -> Result<Vec<(PathBuf, String)>> {
    let commands = Commands::ask(client);
    let figures = Figures::read(&root.join("docs/figures.txt"))?;
    let file = |name: &&str| {
        let path = root.join(name);
        let text = std::fs::read_to_string(&path).with_context(|| name.to_string())?;
        let filled = filled(&text, |block| content(block, &commands, &figures)).with_context(|| name.to_string())?;
        Ok((path, filled))
    };
    let texts = FILES.iter().map(file);
    let demo = figures.section("Demo")?;
    let pictures = [("docs/stampede-light.svg", picture::LIGHT), ("docs/stampede-dark.svg", picture::DARK)];
    let pictures = pictures.iter().map(|(name, theme)| Ok((root.join(name), picture::draw(&demo, theme)?)));
    let (summary, over_time) = (figures.section("A cold start")?, figures.section("A cold start, over time")?);
    let curves = [("docs/cold-start-light.svg", picture::LIGHT), ("docs/cold-start-dark.svg", picture::DARK)];
    let curves = curves.iter().map(|(name, theme)| Ok((root.join(name), curves::draw(&summary, &over_time, theme)?)));
    let recording = std::iter::once_with(|| {
        let readme = std::fs::read_to_string(root.join("README.md"))?;
        Ok((root.join("docs/session.svg"), session::record(&readme)?))
    });
    texts.chain(pictures).chain(curves).chain(recording).collect()
}

fn content(block: &str, commands: &Commands, figures: &Figures) -> Result<String> {
    let (kind, of) = block.split_once(' ').unwrap_or((block, ""));
    Ok(match kind {
        "command" => commands.section(of)?,
        "command-links" => commands.links(),
        "labels" => commands.labels(),
        "states" => tables::states(of == "of GETORLOCK"),
        "settings" => tables::settings(),
        "settings.conf" => tables::settings_conf(),
        "errors" => tables::errors(),
        "info" => tables::info(),
        "fields" => tables::fields(of)?,
        "figures" => figures.table(of)?,
        _ => bail!("there is no block {block:?}"),
    })
}

/// The text with each block's content in its place.
fn filled(text: &str, content: impl Fn(&str) -> Result<String>) -> Result<String> {
    let (mut out, mut lines) = (String::new(), text.lines());
    while let Some(line) = lines.next() {
        out += line;
        out.push('\n');
        let Some(block) = begun(line) else { continue };
        out += &content(block).with_context(|| format!("the block {block}"))?;
        let end = lines.find(|line| line.contains(END)).with_context(|| format!("the block {block} has no end"))?;
        out += end;
        out.push('\n');
    }
    Ok(out)
}

fn begun(line: &str) -> Option<&str> {
    let (before, block) = line.split_once("make docs: ")?;
    matches!(before, "<!-- " | "# ").then(|| block.trim_end_matches("-->").trim())
}

/// One row of a table.
pub(crate) fn row<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| cell.as_ref().replace('|', "\\|")).collect();
    // An empty cell is one blank, not two.
    format!("| {} |\n", cells.join(" | ")).replace("|  |", "| |").replace("|  |", "| |")
}

/// A table's head and its rule.
pub(crate) fn head(cells: &[&str]) -> String {
    format!("{}|{}\n", row(cells), "---|".repeat(cells.len()))
}

const END: &str = "/make docs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_markers_is_replaced_and_nothing_else() {
        let text = "a\n<!-- make docs: x -->\nold\n<!-- /make docs -->\nb\n# make docs: y 1\n# /make docs\n";
        let filled = filled(text, |block| Ok(format!("[{block}]\n"))).unwrap();
        assert_eq!(
            filled,
            "a\n<!-- make docs: x -->\n[x]\n<!-- /make docs -->\nb\n# make docs: y 1\n[y 1]\n# /make docs\n"
        );
    }

    #[test]
    fn a_block_without_an_end_is_refused() {
        assert!(filled("<!-- make docs: x -->\nold\n", |_| Ok(String::new())).is_err());
    }
}
