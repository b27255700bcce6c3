//! The screen: where everything lies on it. The files below it draw one row of boxes each.

mod numbers; // waiting room, rebuilds, times
mod tables; // live leases, longest builds
mod traffic; // hit ratio, requests

use std::fmt::Write;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Padding, Paragraph, Wrap};
use ratatui::Frame;

use crate::amount;
use crate::history::History;
use crate::reading::Reading;
use crate::source::Trouble;

pub(crate) fn draw(frame: &mut Frame, history: &History) {
    let [top, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(frame.area());
    header(frame, top, history);
    match (&history.last, &history.trouble) {
        (_, Some(trouble)) if !matches!(trouble, Trouble::Unreachable(_)) => notice(frame, body, trouble),
        (None, Some(trouble)) => notice(frame, body, trouble),
        (Some(reading), _) => boxes(frame, body, history, reading),
        (None, None) => {}
    }
}

fn boxes(frame: &mut Frame, area: Rect, history: &History, reading: &Reading) {
    if area.width >= WIDE {
        let rows = [Constraint::Length(7), Constraint::Length(7), Constraint::Min(0)];
        let [charts, figures, lists] = Layout::vertical(rows).areas(area);
        traffic::draw(frame, charts, history, reading);
        let columns = [Constraint::Length(24), Constraint::Min(0), Constraint::Length(44)];
        let [room, rebuilds, times] = Layout::horizontal(columns).areas(figures);
        numbers::waiting_room(frame, room, reading);
        numbers::rebuilds(frame, rebuilds, reading);
        numbers::times(frame, times, reading);
        let [leases, builds] = Layout::horizontal([Constraint::Fill(2), Constraint::Length(BUILDS_WIDTH)]).areas(lists);
        tables::leases(frame, leases, reading);
        tables::builds(frame, builds, history);
    } else {
        let rows = [Constraint::Length(5), Constraint::Length(7), Constraint::Length(5), Constraint::Min(0)];
        let [charts, figures, times, leases] = Layout::vertical(rows).areas(area);
        traffic::draw(frame, charts, history, reading);
        let [room, rebuilds] = Layout::horizontal([Constraint::Length(24), Constraint::Min(0)]).areas(figures);
        numbers::waiting_room(frame, room, reading);
        numbers::rebuilds(frame, rebuilds, reading);
        numbers::times(frame, times, reading);
        tables::leases(frame, leases, reading);
    }
}

fn header(frame: &mut Frame, area: Rect, history: &History) {
    let mut left = vec![" Corral ".black().on_cyan().bold(), Span::raw(format!(" {}", history.address))];
    // Of a server that is merely away the last numbers stay.
    let shows_numbers = matches!(history.trouble, None | Some(Trouble::Unreachable(_)));
    if let Some(reading) = history.last.as_ref().filter(|_| shows_numbers) {
        left.push(format!("  {}", reading.server()).dim());
        let up = reading.text("uptime_in_seconds").and_then(|seconds| seconds.parse::<f64>().ok());
        left.extend(up.map(|seconds| format!("  up {}", amount::time(seconds * 1_000.0)).dim()));
    }
    let right = match (&history.trouble, &history.last) {
        (None, None) => Line::from("connecting").dim(),
        (None, Some(_)) => Line::from(vec!["live".green(), "  q quits ".dim()]),
        (Some(Trouble::Unreachable(_)), Some(_)) => {
            Line::from(vec!["no answer, numbers are of before".red().bold(), "  q quits ".dim()])
        }
        (Some(_), _) => Line::from(vec!["trying again".red().bold(), "  q quits ".dim()]),
    };
    frame.render_widget(Line::from(left), area);
    // Over the left part, if the terminal is too narrow for both.
    let width = u16::try_from(right.width()).unwrap_or(area.width).min(area.width);
    let right_area = Rect { x: area.right() - width, width, ..area };
    frame.render_widget(right, right_area);
}

fn notice(frame: &mut Frame, area: Rect, trouble: &Trouble) {
    let mut words = trouble.to_string();
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let text = vec![Line::from(words), Line::from(""), Line::from("It is tried again and again until it works.").dim()];
    let block = panel("Nothing to show").border_style(Style::new().fg(Color::Red));
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }).block(block), area);
}

fn panel(title: &str) -> Block<'_> {
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(Style::new().fg(Color::DarkGray))
        .title(Span::from(format!(" {title} ")).bold())
        .padding(Padding::horizontal(1))
}

/// The height of a frame that shows every lease, within reason.
pub(crate) fn height_for(history: &History) -> u16 {
    let leases = history.last.as_ref().and_then(|reading| reading.leases.as_ref()).map_or(0, Vec::len);
    let listed = u16::try_from(leases).unwrap_or(u16::MAX).clamp(3, 40);
    // Header, the boxes of the taller layout, and the list's own border and headings.
    1 + 17 + listed + 3
}

/// The frame without its colours.
pub(crate) fn plain(buffer: &Buffer) -> String {
    let mut text = String::new();
    for row in buffer.area.rows() {
        let mut line = String::new();
        for place in row.columns() {
            if let Some(cell) = buffer.cell((place.x, place.y)) {
                let _never_fails = write!(line, "{}", cell.symbol());
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// From here on the boxes lie side by side; narrower, the times get a row of their own.
const WIDE: u16 = 108;
const BUILDS_WIDTH: u16 = 36;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
