//! A server's clock that runs beside the machine's and can be set: `shim/clock.rs`, preloaded.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// By how much a server's clock is ahead of the machine's.
pub struct Clock {
    /// Holds the number that the servers read, and what they preload.
    directory: tempfile::TempDir,
    number: File,
}

impl Clock {
    /// `None`, and a line that says why, on systems where nothing can be preloaded in this way.
    pub fn ahead_by(seconds: i64) -> Option<Self> {
        if !cfg!(target_os = "linux") {
            eprintln!("skipped: no clock but the machine's outside Linux");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let number = File::create(number(directory.path())).unwrap();
        let clock = Self { directory, number };
        clock.set(seconds);
        clock.compile_shim();
        Some(clock)
    }

    /// Sets the clock of every server that has it. A negative number is behind the machine's.
    pub fn set(&self, seconds: i64) {
        self.number.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// What the server's environment has to hold.
    pub fn environment(&self) -> [(String, String); 2] {
        [("LD_PRELOAD", self.shim()), ("CORRAL_TEST_CLOCK", number(self.directory.path()))]
            .map(|(name, path)| (name.to_owned(), path.to_str().unwrap().to_owned()))
    }

    fn compile_shim(&self) {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/shim/clock.rs");
        let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let done = Command::new(compiler)
            .args(["--edition", "2021", "--crate-type", "cdylib", "-O", "-C", "panic=abort", "-o"])
            .arg(self.shim())
            .arg(source)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert!(fs::exists(self.shim()).unwrap());
    }

    fn shim(&self) -> PathBuf {
        self.directory.path().join("libclock.so")
    }
}

fn number(directory: &Path) -> PathBuf {
    directory.join("ahead-by")
}
