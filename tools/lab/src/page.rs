//! A report as one HTML file that needs nothing else: no script, no network, no fonts of its own. It fits a telephone.

use std::fs;
use std::path::Path;

use anyhow::{bail, Context, Result};

use crate::table::{escaped, Table};

pub(crate) struct Page {
    title: String,
    body: String,
}

/// What a strategy is remembered by.
pub(crate) struct Card {
    pub(crate) name: &'static str,
    pub(crate) colour: String,
    pub(crate) number: String,
    pub(crate) text: String,
    pub(crate) steps: &'static str,
}

impl Page {
    pub(crate) fn new(title: &str, lead: &str) -> Self {
        Self { title: escaped(title), body: String::new() }.paragraph(lead)
    }

    #[must_use]
    pub(crate) fn paragraph(self, text: &str) -> Self {
        self.add(&format!("<p>{}</p>\n", escaped(text)))
    }

    #[must_use]
    pub(crate) fn note(self, text: &str) -> Self {
        self.add(&format!("<p class=\"note\">{}</p>\n", escaped(text)))
    }

    #[must_use]
    pub(crate) fn list(self, lines: &[String]) -> Self {
        if lines.is_empty() {
            return self;
        }
        let lines: String = lines.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
        self.add(&format!("<ul>\n{lines}</ul>\n"))
    }

    #[must_use]
    pub(crate) fn cards(self, cards: &[Card]) -> Self {
        let cards = cards.iter().map(|card| {
            format!(
                "<div class=\"card\" style=\"border-color:{colour}\"><h3 style=\"color:{colour}\">{name}</h3>\
                 <p class=\"number\">{number}</p><p>{text}</p><p class=\"note\">{steps}.</p></div>\n",
                colour = card.colour,
                name = escaped(card.name),
                number = escaped(&card.number),
                text = escaped(&card.text),
                steps = escaped(card.steps),
            )
        });
        let cards: String = cards.collect();
        self.add(&format!("<div class=\"cards\">\n{cards}</div>\n"))
    }

    /// A picture carries its own title.
    #[must_use]
    pub(crate) fn picture(self, svg: &str) -> Self {
        self.add(&format!("<figure>\n{svg}</figure>\n"))
    }

    #[must_use]
    pub(crate) fn table(self, table: &Table) -> Self {
        self.add(&table.html())
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let page = TEMPLATE.replace("{style}", STYLE).replace("{title}", &self.title).replace("{body}", &self.body);
        save(path, &page)
    }

    fn add(mut self, html: &str) -> Self {
        self.body.push_str(html);
        self
    }
}

pub(crate) fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Whether there is a place for a report should be known before a minute of work, not after.
pub(crate) fn find_room(path: &Path) -> Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.is_dir() || path.is_dir() {
        bail!("cannot write {}: not a file in a directory that is there", path.display());
    }
    Ok(())
}

const TEMPLATE: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}</body>
</html>
";

const STYLE: &str = "
body { font-family: system-ui, sans-serif; color: #333; background: #fff; max-width: 60rem; margin: 1.5rem auto;
       padding: 0 1rem; line-height: 1.45; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; margin-bottom: .3rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .2rem; }
figure { margin: 1.5rem 0; } svg { display: block; width: 100%; max-width: 45rem; height: auto; }
.cards { display: flex; flex-wrap: wrap; gap: 1rem; }
.card { flex: 1 1 14rem; border-top: 5px solid; background: #f7f7f7; padding: .6rem 1rem; }
.card h3 { margin: 0; font-size: 1.05rem; } .card p { margin: .2rem 0; }
.number { font-size: 1.6rem; font-weight: 700; line-height: 1.1; } .note { font-size: .88rem; color: #555; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .92rem; }
td, th { padding: .3rem .6rem; border-bottom: 1px solid #ddd; text-align: right; font-variant-numeric: tabular-nums;
         white-space: nowrap; }
td:first-child, th:first-child { text-align: left; }
@media (max-width: 30rem) { table { font-size: .75rem; } td, th { padding: .3rem .2rem; white-space: normal; } }
";
