//! Where a trace goes: a build with the feature `trace` writes what its node is told to a file of each process.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use corral_core::trace::Sink;
use corral_server::log;

/// Beside the file that is named here: one for each process, with its number at the end.
const NAMED_BY: &str = "CORRAL_TRACE";

/// A trace that cannot be written is told of once, and then no more is written: the server lives on.
pub fn sink() -> Sink {
    let Some(path) = std::env::var_os(NAMED_BY) else {
        log::write(log::WARNING, "this build writes a trace, and CORRAL_TRACE does not say where: none is written");
        return Box::new(|_| ());
    };
    let mut path = path;
    path.push(format!(".{}", std::process::id()));
    let path = PathBuf::from(path);
    let mut out = match File::create(&path) {
        Ok(file) => Some(BufWriter::new(file)),
        Err(why) => {
            log::write(log::WARNING, &format!("no trace is written to {}: {why}", path.display()));
            None
        }
    };
    Box::new(move |bytes| {
        if out.as_mut().is_some_and(|out| out.write_all(bytes).is_err()) {
            log::write(log::WARNING, "the trace ends here: it cannot be written any more");
            out = None;
        }
    })
}
