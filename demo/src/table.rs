//! The three runs as figures, side by side: for the terminal, and as rows for the page.

use std::time::Duration;

use comfy_table::{presets, Cell, CellAlignment, Table};

use crate::measurements::Run;

/// One figure of every run.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) figures: Vec<String>,
}

pub(crate) fn rows(runs: &[Run]) -> Vec<Row> {
    let row = |what, figure: &dyn Fn(&Run) -> String| Row { what, figures: runs.iter().map(figure).collect() };
    vec![
        row("queries per expiry: average", &|run| format!("{:.1}", run.queries_per_expiry())),
        row("queries per expiry: most", &|run| count(run.fewest_and_most_queries().1 as u64)),
        row("queries at the same time: most", &|run| count(run.most_in_flight() as u64)),
        row("time of a query: median", &|run| duration(run.median_query())),
        row("latency of a request: p50", &|run| duration(run.latency(0.5))),
        row("latency of a request: p99", &|run| duration(run.latency(0.99))),
        row("latency of a request: max", &|run| duration(run.slowest())),
        row("commands per request", &|run| format!("{:.2}", run.commands_per_request())),
        row("extra commands per expiry", &|run| count(run.extra_commands_per_expiry().round() as u64)),
        row("expiries", &|run| {
            let cut = if run.was_cut_short() { " (time was up)" } else { "" };
            format!("{}{cut}", count(run.expiries_met() as u64))
        }),
        row("requests", &|run| count(run.requests())),
        row("queries", &|run| count(run.queries.len() as u64)),
        row("length of the run", &|run| duration(run.elapsed)),
    ]
}

pub(crate) fn text(runs: &[Run]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    let names = runs.iter().map(|run| Cell::new(run.strategy.name()));
    table.set_header(std::iter::once(Cell::new("")).chain(names));
    for row in rows(runs) {
        table.add_row(std::iter::once(row.what.to_owned()).chain(row.figures));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// With a comma after every third digit.
pub(crate) fn count(number: u64) -> String {
    match (number / 1000, number % 1000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{},{rest:03}", count(thousands)),
    }
}

/// Three digits and the unit that suits them.
pub(crate) fn duration(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    match ms {
        ms if ms < 9.995 => format!("{ms:.2} ms"),
        ms if ms < 99.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 99_950.0 => format!("{:.1} s", ms / 1000.0),
        ms => format!("{:.0} s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_have_their_unit() {
        assert_eq!(duration(Duration::from_micros(127)), "0.13 ms");
        assert_eq!(duration(Duration::from_micros(99_960)), "100 ms");
        assert_eq!(duration(Duration::from_millis(53_271)), "53.3 s");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_020_003), "1,020,003");
    }
}
