//! Frames drawn from recorded INFO.

use std::time::Duration;

use ratatui::backend::TestBackend;
use ratatui::Terminal;

use super::{draw, plain};
use crate::history::History;
use crate::reading::{Holder, Lease, Reading};
use crate::source::Trouble;

const BEFORE: &str = "run_id:a\nredis_version:7.0.15\nuptime_in_seconds:90\ncorral_hits:100\ncorral_misses:100\n";
const AFTER: &str = include_str!("recorded.txt");

fn frame(columns: u16, rows: u16, history: &History) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, history)).unwrap();
    plain(terminal.backend().buffer())
}

fn busy() -> History {
    let lease = Lease {
        key: b"report\x1b[2J".to_vec(),
        db: 3,
        token: 9,
        age_ms: 1_500,
        left_ms: 8_500,
        waiters: 12,
        holder: Some(Holder { id: 4, name: b"web-1".to_vec(), address: "10.0.0.1:5".to_owned() }),
    };
    let mut history = History::new("127.0.0.1:6379".to_owned());
    history.add(Duration::from_secs(0), Ok(Reading::new(BEFORE, Some(Vec::new()))));
    history.add(Duration::from_secs(1), Ok(Reading::new(AFTER, Some(vec![lease]))));
    history
}

#[test]
fn a_wide_frame_has_every_number() {
    let shown = frame(120, 24, &busy());
    for words in [
        "Redis 7.0.15  up 1 min 31 s",
        "90.0 % now",
        "1,000 requests",
        "build   11 ms   1.5 s   2.1 s   4.0 s",
        "wait  0.25 ms",
        "Live leases: 1",
        "report\\u{1b}[2J",
        "web-1 10.0.0.1:5",
        "running",
    ] {
        assert!(squeezed(&shown).contains(&squeezed(words)), "{words} is not in\n{shown}");
    }
    for (label, number) in [("parked now", "12"), ("saved", "4,321"), ("timed out", "7"), ("failures", "3")] {
        assert!(squeezed(&shown).contains(&format!("{label} {number}")), "{label} {number} is not in\n{shown}");
    }
}

#[test]
fn a_small_terminal_still_has_the_leases() {
    let shown = frame(80, 24, &busy());
    assert!(shown.contains("report") && shown.contains("1.5 s") && shown.contains("p99.9"), "{shown}");
    // Too small for anything useful, but no panic.
    frame(5, 3, &busy());
}

#[test]
fn a_module_without_percentiles_is_shown_without_them() {
    let without: String = AFTER.lines().filter(|line| !line.contains("_ms_")).map(|line| format!("{line}\n")).collect();
    let mut history = History::new(String::new());
    history.add(Duration::ZERO, Ok(Reading::new(&without, None)));
    let shown = frame(120, 24, &history);
    assert!(shown.contains("this module does not measure them") && shown.contains("+cache.leases"), "{shown}");
}

#[test]
fn a_lost_server_leaves_its_last_numbers_and_another_trouble_replaces_them() {
    let mut history = busy();
    history.add(Duration::from_secs(2), Err(Trouble::Unreachable("refused".to_owned())));
    let shown = frame(120, 24, &history);
    assert!(shown.contains("no answer, numbers are of before") && shown.contains("4,321"), "{shown}");
    history.add(Duration::from_secs(3), Err(Trouble::NoModule));
    let shown = frame(120, 24, &history);
    assert!(shown.contains("does not have the Corral module") && !shown.contains("4,321"), "{shown}");
}

/// Runs of spaces as one, borders as none.
fn squeezed(text: &str) -> String {
    text.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}
