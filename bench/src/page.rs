//! The report as one HTML file that needs nothing else, and the same tables as Markdown.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::findings::Findings;
use crate::options::Options;
use crate::table::escaped;

pub(crate) fn write(options: &Options, server: &str, findings: &Findings) -> Result<()> {
    let summary = findings.summary();
    let remarks: String = findings.remarks.iter().map(|text| format!("<li>{}</li>", escaped(text))).collect();
    let pictures = findings.pictures.iter().map(|(title, svg)| format!("<h2>{}</h2>\n{svg}\n", escaped(title)));
    let tables: String = findings.tables.iter().map(crate::table::Table::html).collect();
    let page = TEMPLATE
        .replace("{style}", STYLE)
        .replace("{server}", &escaped(server))
        .replace("{remarks}", &format!("<ul>{remarks}</ul>"))
        .replace("{summary}", &summary.html())
        .replace("{pictures}", &pictures.collect::<String>())
        .replace("{tables}", &tables);
    save(&options.out, &page)?;
    let path = fs::canonicalize(&options.out).unwrap_or_else(|_| options.out.clone());
    println!("\nThe report: {}", path.display());

    if let Some(file) = &options.markdown {
        let remarks: String = findings.remarks.iter().map(|text| format!("- {text}\n")).collect();
        let tables = std::iter::once(&summary).chain(&findings.tables).map(crate::table::Table::markdown);
        let mode = if options.full { "full" } else { "quick" };
        let head =
            format!("Corral on {server}, a {mode} run.\n{}{remarks}", if remarks.is_empty() { "" } else { "\n" });
        save(file, &format!("{head}\n{}", tables.collect::<Vec<_>>().join("\n")))?;
    }
    if let (Some(file), Some((_, svg))) = (&options.picture, findings.pictures.last()) {
        save(file, svg)?;
    }
    Ok(())
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

const TEMPLATE: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>Corral beside what people use today</title>
<style>{style}</style>
</head>
<body>
<h1>Corral beside what people use today</h1>
<p>On {server}. All figures are of one run on one machine, which clients and servers shared. Compare them with each
other, not with those of another machine.</p>
{remarks}
{summary}
{pictures}
{tables}
</body>
</html>
";

const STYLE: &str = "
body { font-family: system-ui, sans-serif; color: #333; background: #fff; max-width: 1000px; margin: 2rem auto;
       padding: 0 1rem; line-height: 1.45; }
h1 { font-size: 1.8rem; margin-bottom: .3rem; } h2 { font-size: 1.25rem; margin: 2rem 0 .2rem; }
svg { width: 100%; height: auto; } .note { font-size: .88rem; color: #555; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
td, th { padding: .3rem .6rem; border-bottom: 1px solid #ddd; text-align: right; font-variant-numeric: tabular-nums; }
td:first-child, th:first-child { text-align: left; }
";
