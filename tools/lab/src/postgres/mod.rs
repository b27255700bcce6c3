//! A PostgreSQL of one's own: on a free port of the loopback interface, in a temporary directory, gone with its owner.

mod session; // its protocol on a bare socket

use std::fs;
use std::os::unix::fs::{chown, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use corral_testkit::launch::{log_end, log_path};
use corral_testkit::{free_port, Process, Tether};
use tempfile::TempDir;

use crate::interrupt;

pub(crate) use session::Session;

/// A running server, stopped when dropped.
pub(crate) struct Postgres {
    process: Process,
    port: u16,
    // Dropped after the process is gone.
    _directory: TempDir,
}

impl Postgres {
    /// A new, empty one that lets in so many at once. What it is told need not outlive it: nothing waits for a disk.
    pub(crate) async fn start(connections: usize) -> Result<Self> {
        let programs = programs().context("PostgreSQL is not installed")?;
        let directory =
            tempfile::Builder::new().prefix("corral-postgres").tempdir().context("no temporary directory")?;
        let data = directory.path().join("data");
        let account = account(directory.path())?;
        if let Some((user, group)) = account {
            chown(directory.path(), Some(user), Some(group)).context("the directory cannot be given away")?;
        }
        let mut initdb = as_account(account, &programs.join("initdb"));
        initdb.args(["--auth=trust", "--username=lab", "--encoding=UTF8", "--no-locale", "--no-sync", "--pgdata"]);
        let made = initdb.arg(&data).current_dir(directory.path()).output().context("cannot run initdb")?;
        ensure!(made.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&made.stderr));

        let port = free_port()?;
        let mut command = as_account(account, &programs.join("postgres"));
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        let connections = format!("max_connections={}", connections + SPARE_CONNECTIONS);
        let socket = format!("unix_socket_directories={}", directory.path().display());
        let settings = ["listen_addresses=127.0.0.1", "fsync=off", "autovacuum=off", &socket, &connections];
        command.args(settings.iter().flat_map(|setting| ["-c", setting]));
        let process = Process::start(&command, directory.path(), &log_path(directory.path()), Tether::Owner)?;
        let mut server = Self { process, port, _directory: directory };
        let deadline = Instant::now() + START_LIMIT;
        while let Err(error) = server.connect().await {
            interrupt::check()?;
            if server.process.ended()?.is_some() || Instant::now() > deadline {
                bail!("PostgreSQL does not answer ({error:#}). Its log ends:\n{}", log_end(server._directory.path()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    pub(crate) async fn connect(&self) -> Result<Session> {
        Session::open(self.port).await
    }
}

impl Drop for Postgres {
    /// Told to end rather than killed: what it keeps in shared memory would stay behind.
    fn drop(&mut self) {
        let deadline = Instant::now() + STOP_LIMIT;
        if self.process.signal("QUIT").is_ok() {
            while matches!(self.process.ended(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Where its programs are: on the PATH, or where Debian puts those of each version.
pub(crate) fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).collect::<Vec<_>>();
    let mut of_debian: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    of_debian.sort_unstable_by(|one, other| other.cmp(one));
    let mut all = on_path.into_iter().chain(of_debian.into_iter().map(|(_, directory)| directory));
    all.find(|directory| ["initdb", "postgres"].iter().all(|name| directory.join(name).is_file()))
}

/// Whom it runs as, if not as we do: it refuses to be root.
fn account(ours: &Path) -> Result<Option<(u32, u32)>> {
    if fs::metadata(ours)?.uid() != 0 {
        return Ok(None);
    }
    let known = fs::read_to_string("/etc/passwd").context("/etc/passwd cannot be read")?;
    let numbers = |name: &str| {
        let line = known.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let mut fields = line.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let found = numbers("postgres").or_else(|| numbers("nobody"));
    Ok(Some(found.context("PostgreSQL must not be root, and there is neither a user postgres nor nobody")?))
}

fn as_account(account: Option<(u32, u32)>, program: &Path) -> Command {
    let Some((user, group)) = account else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]).arg(program);
    command
}

/// A few are kept for superusers.
const SPARE_CONNECTIONS: usize = 10;
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(10);
