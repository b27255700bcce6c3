//! How many requests there are, and how many found a value.

use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span as Words};
use ratatui::widgets::{Sparkline, SparklineBar};
use ratatui::Frame;

use super::panel;
use crate::amount;
use crate::history::{hit_ratio, History, Span};
use crate::reading::Reading;

pub(super) fn draw(frame: &mut Frame, area: Rect, history: &History, reading: &Reading) {
    let [left, right] = Layout::horizontal([Constraint::Percentage(38), Constraint::Min(0)]).areas(area);
    ratio(frame, left, history, reading);
    requests(frame, right, history);
}

fn ratio(frame: &mut Frame, area: Rect, history: &History, reading: &Reading) {
    let block = panel("Hit ratio");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [figures, chart] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(inner);

    let total = |name| reading.count(name) as f64;
    let ever = hit_ratio(total("hits"), total("stale_hits"), total("misses"));
    let shown = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), amount::percent);
    let now = history.now().and_then(|span| span.hit_ratio());
    let line = vec![shown(now).green().bold(), " now  ".into(), shown(ever).into(), " since start".dim()];
    frame.render_widget(Line::from(line), figures);
    // In thousandths, from 0 to 1: a drop must look like one.
    let thousandths = |span: &Span| span.hit_ratio().map(|ratio| (ratio * 1000.0).round() as u64);
    spark(frame, chart, history, thousandths, Some(1000), Color::Green);
}

fn requests(frame: &mut Frame, area: Rect, history: &History) {
    let now = history.now();
    let block = panel("Per second, each on its own scale");
    let all = now.map_or_else(|| "-".to_owned(), |span| amount::rate(span.requests()));
    let block = block.title(Line::from(format!(" {all} requests ")).alignment(Alignment::Right).dim());
    let inner = block.inner(area);
    frame.render_widget(block, area);

    // As many as there is room for, the answers to requests first.
    for (row, (name, of, colour)) in inner.rows().zip(KINDS) {
        let [label, number, chart] =
            Layout::horizontal([Constraint::Length(6), Constraint::Length(12), Constraint::Min(0)]).areas(row);
        let shown = now.map_or_else(|| "-".to_owned(), |span| amount::rate(of(&span)));
        frame.render_widget(Words::raw(name), label);
        frame.render_widget(Line::from(format!("{shown}  ").fg(colour)).alignment(Alignment::Right), number);
        spark(frame, chart, history, |span| Some((of(span) * 10.0).round() as u64), None, colour);
    }
}

/// The newest spans that there is room for, the newest at the right.
fn spark(
    frame: &mut Frame,
    area: Rect,
    history: &History,
    value: impl Fn(&Span) -> Option<u64>,
    most: Option<u64>,
    colour: Color,
) {
    let width = usize::from(area.width);
    let missing = width.saturating_sub(history.spans.len());
    let shown = history.spans.iter().skip(history.spans.len().saturating_sub(width)).map(value);
    let bars: Vec<SparklineBar> = std::iter::repeat_n(None, missing).chain(shown).map(SparklineBar::from).collect();
    let sparkline = Sparkline::default().data(bars).absent_value_symbol(" ").style(Style::new().fg(colour));
    frame.render_widget(most.map_or(sparkline.clone(), |most| sparkline.max(most)), area);
}

type Of = fn(&Span) -> f64;

/// Each has a scale of its own: a hundred misses among a million hits are worth seeing.
const KINDS: [(&str, Of, Color); 5] = [
    ("hit", |span| span.hits, Color::Green),
    ("stale", |span| span.stale, Color::Yellow),
    ("miss", |span| span.misses, Color::Magenta),
    ("saved", |span| span.saved, Color::Cyan),
    ("fills", |span| span.fills, Color::Blue),
];
