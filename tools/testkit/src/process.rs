//! A process in the background, for as long as its owner holds it.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

/// A running process, killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Its end is the process's, if [`Tether`] says so.
    _input: Option<ChildStdin>,
}

/// What ends a process besides its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tether {
    /// Ctrl-C in the terminal, as it ends whoever started the process.
    Terminal,
    /// Nothing: Ctrl-C goes to the whole process group, and a server that ended under its clients' feet would have the
    /// program report lost connections instead of an interruption.
    Owner,
    /// The end of this program, even one that drops nothing (a fuzzer leaves by `exit` or a signal). The directory that
    /// the process worked in goes, too.
    Program,
}

/// Runs its arguments until the other end of its input closes, and removes the directory they worked in.
const UNTIL_WE_END: &str = r#""$@" </dev/null & cat >/dev/null; kill $!; wait; rm -rf "$0""#;

impl Process {
    /// Starts the words of `command` in `directory`. What it says is appended to `log`.
    pub fn start(command: &Command, directory: &Path, log: &Path, tether: Tether) -> Result<Self> {
        let program = command.get_program();
        let mut started = match tether {
            Tether::Program => {
                let mut shell = Command::new("sh");
                shell.args(["-c", UNTIL_WE_END]).arg(directory).arg(program).stdin(Stdio::piped());
                shell
            }
            Tether::Terminal | Tether::Owner => {
                let mut direct = Command::new(program);
                direct.stdin(Stdio::null());
                direct
            }
        };
        #[cfg(unix)]
        if tether == Tether::Owner {
            std::os::unix::process::CommandExt::process_group(&mut started, 0);
        }
        let log = File::options().create(true).append(true).open(log).context("the log cannot be written")?;
        started.args(command.get_args()).current_dir(directory).stdout(log.try_clone()?).stderr(log);
        started.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let name = program.to_string_lossy();
        let mut child = started.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                anyhow::anyhow!("there is no '{name}': install it (`make setup` does so for Redis), or say where it is")
            }
            _ => anyhow::Error::new(error).context(format!("cannot start '{name}'")),
        })?;
        let _input = child.stdin.take();
        Ok(Self { child, _input })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends it a signal: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let told = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.id())).status()?;
        anyhow::ensure!(told.success(), "kill -{name}: {told}");
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self._input.take().is_some() {
            // The shell ends its server and cleans up: it must not be killed before that.
            let _reaped = self.child.wait();
            return;
        }
        // Both fail only if it is gone already. `wait` frees the process id.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
