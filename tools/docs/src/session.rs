//! A recording of README's session in two terminals, as an animated picture. What it shows is what README shows, and that
//! is replayed on a real server by a test.

use std::fmt::Write as _;

use anyhow::{Context, Result};

/// One line on a terminal, and when it appears.
struct Line {
    terminal: char,
    text: String,
    is_typed: bool,
    at_ms: u32,
}

pub(crate) fn record(readme: &str) -> Result<String> {
    let (_, rest) = readme.split_once("```redis-cli\n").context("README has no session")?;
    let (session, _) = rest.split_once("```").context("README's session has no end")?;
    let lines = lines(session);
    let last = lines.last().context("README's session is empty")?.at_ms;
    let length_ms = last + PAUSE_MS;

    let mut terminals: Vec<char> = lines.iter().map(|line| line.terminal).collect();
    terminals.sort_unstable();
    terminals.dedup();
    let rows = |terminal: char| lines.iter().filter(|line| line.terminal == terminal).count() as u32;
    let height = terminals.iter().map(|terminal| frame_height(rows(*terminal)) + GAP).sum::<u32>() - GAP;

    let mut svg = String::new();
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"ui-monospace, Menlo, \
         Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"11.5\" role=\"img\">\n<title>Two terminals: one builds, the \
         other is parked until the value is there</title>\n<style>"
    )?;
    for (number, line) in lines.iter().enumerate() {
        let from = f64::from(line.at_ms) * 100.0 / f64::from(length_ms);
        let just_before = (from - 0.01).max(0.0);
        writeln!(
            svg,
            "@keyframes l{number} {{ 0%, {just_before:.2}% {{ opacity: 0 }} {from:.2}%, 100% {{ opacity: 1 }} }} \
             .l{number} {{ animation: l{number} {length_ms}ms infinite }}"
        )?;
    }
    svg += "@media (prefers-reduced-motion: reduce) { text { animation: none !important } }\n</style>\n";
    let mut top = 0;
    for terminal in terminals {
        let height = frame_height(rows(terminal));
        writeln!(svg, "<rect y=\"{top}\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#161b22\"/>")?;
        writeln!(svg, "<text x=\"12\" y=\"{}\" fill=\"#9198a1\">terminal {terminal}</text>", top + 20)?;
        let mine = lines.iter().enumerate().filter(|(_, line)| line.terminal == terminal);
        for (row, (number, line)) in (0..).zip(mine) {
            let y = top + HEAD + row * ROW + 14;
            let colour = if line.is_typed { "#f0f6fc" } else { "#2cc295" };
            let text = line.text.replace('&', "&amp;").replace('<', "&lt;");
            writeln!(
                svg,
                "<text class=\"l{number}\" x=\"12\" y=\"{y}\" fill=\"{colour}\" xml:space=\"preserve\">{text}</text>"
            )?;
        }
        top += height + GAP;
    }
    svg += "</svg>\n";
    Ok(svg)
}

/// The session's lines in time: typing takes a while, replies come at once, and what comes to a parked client comes with the
/// reply that it is for.
fn lines(session: &str) -> Vec<Line> {
    let (mut found, mut now, mut terminal) = (Vec::new(), 0, 'A');
    for line in session.lines() {
        let line = line.split(" #").next().unwrap_or_default().trim_end();
        if line.is_empty() {
            continue;
        }
        let first = line.chars().next().unwrap_or('A');
        let text = if line.get(1..).is_some_and(|rest| rest.starts_with("> ")) {
            terminal = first;
            now += TYPING_MS;
            found.push(Line { terminal, text: format!("> {}", &line[3..]), is_typed: true, at_ms: now });
            now += REPLY_MS;
            continue;
        } else if line.get(1..).is_some_and(|rest| rest.starts_with('<')) {
            terminal = first;
            continue;
        } else {
            line
        };
        found.push(Line { terminal, text: text.to_owned(), is_typed: false, at_ms: now });
    }
    found
}

const fn frame_height(rows: u32) -> u32 {
    HEAD + rows * ROW + 10
}

/// A telephone's width: nothing is scaled down there.
const WIDTH: u32 = 420;
const HEAD: u32 = 28;
const ROW: u32 = 18;
const GAP: u32 = 10;
const TYPING_MS: u32 = 1600;
const REPLY_MS: u32 = 400;
/// How long all of it stays.
const PAUSE_MS: u32 = 4000;
