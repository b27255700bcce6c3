//! The leases that are out, and the builds that took longest.

use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table};
use ratatui::Frame;

use super::panel;
use crate::amount;
use crate::history::{Build, History};
use crate::reading::{Holder, Lease, Reading};

pub(super) fn leases(frame: &mut Frame, area: Rect, reading: &Reading) {
    let title = format!("Live leases: {}, longest held first", amount::count(reading.count("live_leases")));
    let Some(leases) = &reading.leases else {
        let text = Line::from("This user may not see them: it needs +cache.leases.").dim();
        frame.render_widget(Paragraph::new(text).block(panel(&title)), area);
        return;
    };
    let heads = [left("key"), right("db"), right("age"), right("left"), right("waiters"), left("holder")];
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(3),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(7),
        Constraint::Fill(1),
    ];
    let table = Table::new(leases.iter().map(lease_row), widths).header(Row::new(heads).dim());
    frame.render_widget(table.block(panel(&title)), area);
}

fn lease_row(lease: &Lease) -> Row<'static> {
    let waiters = match lease.waiters {
        0 => right("0").dim(),
        waiters => right(amount::count(waiters)).cyan(),
    };
    // Most of its time is gone: soon the next in line gets the lease.
    let is_late = lease.left_ms < (lease.age_ms + lease.left_ms) / 4;
    let left_time = right(amount::time(lease.left_ms as f64));
    Row::new([
        left(amount::text(&lease.key)),
        right(lease.db.to_string()),
        right(amount::time(lease.age_ms as f64)),
        if is_late { left_time.style(Style::new().fg(Color::Yellow)) } else { left_time },
        waiters,
        left(holder(lease.holder.as_ref())),
    ])
}

fn holder(holder: Option<&Holder>) -> String {
    match holder {
        // Granted on another node, or before a restart.
        None => "unknown here".to_owned(),
        Some(Holder { id, name, address }) if name.is_empty() && address.is_empty() => format!("client {id}, gone"),
        Some(Holder { name, address, .. }) if name.is_empty() => amount::text(address.as_bytes()),
        Some(Holder { name, address, .. }) => format!("{} {}", amount::text(name), amount::text(address.as_bytes())),
    }
}

pub(super) fn builds(frame: &mut Frame, area: Rect, history: &History) {
    let heads = [left("key"), right("db"), right("at least"), left("")];
    let widths = [Constraint::Fill(1), Constraint::Length(3), Constraint::Length(9), Constraint::Length(7)];
    let builds = history.longest_builds();
    let rows = builds.iter().take(usize::from(area.height)).map(|build| build_row(build));
    let table = Table::new(rows, widths).header(Row::new(heads).dim());
    frame.render_widget(table.block(panel("Longest builds seen here")), area);
}

fn build_row(build: &Build) -> Row<'static> {
    Row::new([
        left(amount::text(&build.lease.key)),
        right(build.lease.db.to_string()),
        right(amount::time(build.lease.age_ms as f64)),
        if build.is_under_way { left("running").cyan() } else { left("ended").dim() },
    ])
}

fn left(text: impl Into<String>) -> Line<'static> {
    Line::from(text.into())
}

fn right(text: impl Into<String>) -> Line<'static> {
    Line::from(text.into()).alignment(Alignment::Right)
}
