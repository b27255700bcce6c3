//! The file that every figure in the documents comes from (docs/figures.txt): a section for each table, with the server,
//! the day and the machine of its run. `make docs` reads it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::page::save;
use crate::table::Table;

/// Puts these tables in the place of those of their names, and leaves the rest of the file as it is.
pub(crate) fn write(file: &Path, server: &str, tables: &[(&str, &Table)]) -> Result<()> {
    let old = fs::read_to_string(file).unwrap_or_default();
    let mut sections: Vec<(String, String)> = sections(&old);
    let run = format!("server = {server}\ndate = {}\nmachine = {}\n", today(), machine());
    for (name, table) in tables {
        let body = format!("{run}\n{}", table.markdown());
        match sections.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = body,
            None => sections.push(((*name).to_owned(), body)),
        }
    }
    let text: Vec<String> = sections.iter().map(|(name, body)| format!("## {name}\n{}\n", body.trim_end())).collect();
    save(file, &text.join("\n"))
}

fn sections(text: &str) -> Vec<(String, String)> {
    let parts = format!("\n{text}");
    let parts = parts.split("\n## ").skip(1).filter_map(|part| part.split_once('\n'));
    parts.map(|(name, body)| (name.to_owned(), body.to_owned())).collect()
}

/// As the system's clock has it.
fn today() -> String {
    said(Command::new("date").args(["-u", "+%Y-%m-%d"])).unwrap_or_else(|| "an unknown day".to_owned())
}

/// How many processors of which kind.
fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let known = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        known.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_owned()));
    let model = model.or_else(|| said(Command::new("uname").arg("-m"))).unwrap_or_default();
    format!("{processors} × {model}, clients and server on the same")
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_its_forerunner_and_the_others_stay() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("figures.txt");
        let table = |cell: &str| {
            let mut table = Table::new("T", &["a"]);
            table.row([cell]);
            table
        };
        write(&file, "Redis 7", &[("one", &table("1")), ("two", &table("2"))])?;
        write(&file, "Redis 8", &[("one", &table("3"))])?;
        let text = fs::read_to_string(&file)?;
        assert!(text.starts_with("## one\nserver = Redis 8\ndate = "), "{text}");
        assert!(text.contains("| 3 |") && !text.contains("| 1 |"), "{text}");
        assert!(text.contains("\n## two\nserver = Redis 7\n") && text.contains("| 2 |"), "{text}");
        Ok(())
    }
}
