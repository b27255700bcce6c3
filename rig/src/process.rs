//! A server in the background, for as long as the program runs.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

/// A running process, killed when dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts `command`, silent and without input.
    pub fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C in a terminal goes to the whole process group: the server would end under its clients' feet, and the
        // program would report lost connections instead of an interruption.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                anyhow::anyhow!("there is no '{name}': install it (`make setup` does so for Redis), or say where it is")
            }
            _ => anyhow::Error::new(error).context(format!("cannot start '{name}'")),
        })?;
        Ok(Self(child))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The servers keep nothing, so there is nothing they could lose; `wait` frees the process id.
        // Both fail only if it is gone already.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A port of the loopback interface that is free now. Somebody else may take it before a server does.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// The last lines of a log, indented; nothing if there is none.
pub fn log_end(log: &Path) -> String {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(8)).map(|line| format!("  {line}\n")).collect()
}
