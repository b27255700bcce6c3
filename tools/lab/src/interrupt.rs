//! Ctrl-C. The handler only raises a flag: whoever loops looks at it and returns an error, so that every
//! destructor runs (the server's, the temporary directory's). Leaving from the handler would run none.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

static RAISED: AtomicBool = AtomicBool::new(false);

/// Somebody wants the program to end.
#[derive(Debug)]
pub struct Interrupted;

/// Catches Ctrl-C from now on. Fails if something else does already.
pub fn listen() -> Result<()> {
    ctrlc::set_handler(|| RAISED.store(true, Ordering::SeqCst)).context("cannot listen for Ctrl-C")
}

/// An error once the program is to end.
pub fn check() -> Result<()> {
    if RAISED.load(Ordering::SeqCst) {
        return Err(Interrupted.into());
    }
    Ok(())
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted; what was started is gone")
    }
}

impl std::error::Error for Interrupted {}
