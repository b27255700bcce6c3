//! One table, in three spellings: for the terminal, as Markdown, as HTML.

use comfy_table::{presets, CellAlignment, ContentArrangement};

pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) note: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: &str, header: &[&str]) -> Self {
        let header = header.iter().map(|&name| name.to_owned()).collect();
        Self { title: title.to_owned(), note: String::new(), header, rows: Vec::new() }
    }

    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(|cell| cell.as_ref().to_owned()).collect());
    }

    pub(crate) fn with_note(mut self, note: &str) -> Self {
        note.clone_into(&mut self.note);
        self
    }

    pub(crate) fn text(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.header);
        table.add_rows(&self.rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.to_string()
    }

    /// The table and its note, without the title.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = vec!["---:"; self.header.len().saturating_sub(1)].join("|");
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        let note = if self.note.is_empty() { String::new() } else { format!("\n{}\n", self.note) };
        format!("{}|---|{rule}|\n{rows}{note}", line(&self.header))
    }

    pub(crate) fn html(&self) -> String {
        // Wider than a telephone: then the table is pushed sideways, and not the page.
        let cells = |tag: &str, row: &[String]| -> String {
            row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect()
        };
        let rows: String = self.rows.iter().map(|row| format!("<tr>{}</tr>\n", cells("td", row))).collect();
        format!(
            "<h2>{}</h2>\n<div class=\"wide\"><table>\n<tr>{}</tr>\n{rows}</table></div>\n<p class=\"note\">{}</p>\n",
            escaped(&self.title),
            cells("th", &self.header),
            escaped(&self.note)
        )
    }
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// With a comma after every third digit.
pub(crate) fn count(number: f64) -> String {
    let number = number.round() as u64;
    match (number / 1000, number % 1000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{},{rest:03}", count(thousands as f64)),
    }
}

pub(crate) fn times(ratio: f64) -> String {
    format!("{ratio:.2} ×")
}

/// Seconds, with three digits and the unit that suits them.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds * 1000.0 {
        ms if ms.is_nan() => "–".to_owned(),
        ms if ms < 9.995 => format!("{ms:.2} ms"),
        ms if ms < 99.95 => format!("{ms:.1} ms"),
        ms if ms < 9999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

pub(crate) fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / 1_048_576.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_have_their_unit() {
        assert_eq!(duration(0.000_127), "0.13 ms");
        assert_eq!(duration(53.271), "53.3 s");
        assert_eq!(count(1_020_003.0), "1,020,003");
    }

    #[test]
    fn a_table_is_markdown_too() {
        let mut table = Table::new("T", &["a", "b"]);
        table.row(["1", "2"]);
        assert_eq!(table.markdown(), "| a | b |\n|---|---:|\n| 1 | 2 |\n");
    }
}
