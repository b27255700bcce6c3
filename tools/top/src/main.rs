//! `make top`: one server's leases, waiters and rebuilds, live in the terminal.
//!
//! `source` asks the server, `reading` is what it said at one moment, `history` is what the readings say together,
//! `view` draws that. Only `source` and this file do anything but compute.

mod amount; // numbers, times and foreign bytes as people read them
mod history; // rates, ratios and builds over time
mod options; // the command line
mod reading; // INFO and CACHE.LEASES, parsed
mod source; // the connection, and what can be wrong with it
mod view; // the screen

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{bail, Result};
use clap::Parser;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::{DefaultTerminal, Terminal};

use history::History;
use options::Options;
use source::Source;

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = if options.once { print_once(&options) } else { watch(&options) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corral-top: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One frame as plain text. Two readings, as rates need them.
fn print_once(options: &Options) -> Result<()> {
    let mut source = Source::new(&options.url)?;
    let mut history = History::new(source.address());
    let began = Instant::now();
    for round in 0..2 {
        if round > 0 {
            std::thread::sleep(options.interval());
        }
        let outcome = source.read();
        if let Err(trouble) = &outcome {
            bail!("{trouble}");
        }
        history.add(began.elapsed(), outcome);
    }
    let mut terminal = Terminal::new(TestBackend::new(options.columns, view::height_for(&history)))?;
    terminal.draw(|frame| view::draw(frame, &history))?;
    print!("{}", view::plain(terminal.backend().buffer()));
    Ok(())
}

fn watch(options: &Options) -> Result<()> {
    // A URL that cannot be right is said on an ordinary screen.
    let mut source = Source::new(&options.url)?;
    if !std::io::stdout().is_terminal() {
        bail!("the output is not a terminal. With --once one frame is printed as plain text");
    }
    let mut terminal = ratatui::try_init()?;
    let outcome = refresh(&mut terminal, &mut source, options.interval());
    ratatui::try_restore()?;
    outcome
}

fn refresh(terminal: &mut DefaultTerminal, source: &mut Source, interval: Duration) -> Result<()> {
    let began = Instant::now();
    let mut history = History::new(source.address());
    terminal.draw(|frame| view::draw(frame, &history))?;
    loop {
        let next = Instant::now() + interval;
        let outcome = source.read();
        history.add(began.elapsed(), outcome);
        loop {
            terminal.draw(|frame| view::draw(frame, &history))?;
            // Anything that happens on the terminal, a new size for one, is worth a new frame.
            if !event::poll(next.saturating_duration_since(Instant::now()))? {
                break;
            }
            if let Event::Key(key) = event::read()? {
                if ends(key) {
                    return Ok(());
                }
            }
        }
    }
}

fn ends(key: KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}
