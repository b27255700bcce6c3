//! What was counted and measured since the server started.

use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table};
use ratatui::Frame;

use super::panel;
use crate::amount;
use crate::reading::Reading;

pub(super) fn waiting_room(frame: &mut Frame, area: Rect, reading: &Reading) {
    let block = panel("Waiting room");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    figures(
        frame,
        inner,
        reading,
        &[
            ("parked now", "waiters", Kind::Key),
            ("peak", "waiters_peak", Kind::Plain),
            ("served", "waiters_served", Kind::Plain),
            ("timed out", "waiters_timed_out", Kind::Notable),
            ("refused", "waiters_refused", Kind::Notable),
        ],
    );
}

pub(super) fn rebuilds(frame: &mut Frame, area: Rect, reading: &Reading) {
    let block = panel("Rebuilds");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [left, _gap, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(3), Constraint::Fill(1)]).areas(inner);
    figures(
        frame,
        left,
        reading,
        &[
            ("saved", "rebuilds_saved", Kind::Key),
            ("leases", "leases_granted", Kind::Plain),
            ("fills", "fills", Kind::Plain),
            ("early", "early_refreshes", Kind::Plain),
            ("passes", "passes", Kind::Plain),
        ],
    );
    figures(
        frame,
        right,
        reading,
        &[
            ("handovers", "handovers", Kind::Notable),
            ("expired", "leases_expired", Kind::Notable),
            ("void fills", "void_fills", Kind::Notable),
            ("failures", "failures", Kind::Bad),
            ("panics", "panics_caught", Kind::Bad),
        ],
    );
}

/// Percentiles, if this module measures them.
pub(super) fn times(frame: &mut Frame, area: Rect, reading: &Reading) {
    let block = panel("Times");
    if reading.ms("build_ms_max").is_none() {
        let text = Line::from("this module does not measure them").dim();
        frame.render_widget(Paragraph::new(text).block(block), area);
        return;
    }
    let right = |text: String| Line::from(text).alignment(Alignment::Right);
    let row = |name: &'static str, of: &str, counted: &str| {
        let measured = reading.count(counted) > 0 || reading.text(&format!("corral_{counted}")).is_none();
        let cell = |percentile: &str| match reading.ms(&format!("{of}_ms_{percentile}")) {
            Some(ms) if measured => right(amount::time(ms)),
            _ => right("-".to_owned()),
        };
        Row::new([Line::from(name), cell("p50"), cell("p99"), cell("p999"), cell("max")])
    };
    let heads = ["p50", "p99", "p99.9", "max"].map(|head| right(head.to_owned()));
    let heads = std::iter::once(Line::from("")).chain(heads);
    let widths =
        [Constraint::Length(6), Constraint::Fill(1), Constraint::Fill(1), Constraint::Fill(1), Constraint::Fill(1)];
    let rows = [row("build", "build", "builds_measured"), row("wait", "wait", "waits_measured")];
    frame.render_widget(Table::new(rows, widths).header(Row::new(heads).dim()).block(block), area);
}

#[derive(Clone, Copy)]
enum Kind {
    /// The one to look at.
    Key,
    Plain,
    /// Part of normal life, worth a look if it grows.
    Notable,
    Bad,
}

fn figures(frame: &mut Frame, area: Rect, reading: &Reading, lines: &[(&str, &str, Kind)]) {
    for (row, (label, field, kind)) in area.rows().zip(lines) {
        let number = reading.count(field);
        let style = match (kind, number) {
            (Kind::Key, _) => Style::new().fg(Color::Cyan).bold(),
            (_, 0) => Style::new().dim(),
            (Kind::Plain, _) => Style::new(),
            (Kind::Notable, _) => Style::new().fg(Color::Yellow),
            (Kind::Bad, _) => Style::new().fg(Color::Red),
        };
        frame.render_widget(Line::from(*label), row);
        let number = Line::from(amount::count(number)).style(style);
        frame.render_widget(number.alignment(Alignment::Right), row);
    }
}
