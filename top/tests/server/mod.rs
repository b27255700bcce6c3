//! A redis-server of a test's own, with the module or without, killed when dropped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub struct Server {
    process: Child,
    port: u16,
    // Removed after the process has ended.
    _directory: TempDir,
}

impl Server {
    pub fn with_module() -> Self {
        Self::start(&["--loadmodule", &module().to_string_lossy()])
    }

    pub fn start(options: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let program = std::env::var_os("CORRAL_SERVER").unwrap_or_else(|| "redis-server".into());
        let process = Command::new(program)
            .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()])
            .args(options)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { process, port, _directory: directory };
        let deadline = Instant::now() + Duration::from_secs(15);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.process.try_wait().unwrap().is_none(), "the server ended at once");
            assert!(Instant::now() < deadline, "the server did not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    /// With user and password as they stand in a URL: `user:password@`, or nothing.
    pub fn url(&self, credentials: &str) -> String {
        format!("redis://{credentials}127.0.0.1:{}", self.port)
    }

    pub fn connect(&self, credentials: &str) -> redis::Connection {
        redis::Client::open(self.url(credentials)).unwrap().get_connection().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn module() -> PathBuf {
    // Absolute, as the server runs in another directory.
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("target/release/libcorral.so");
    let module = std::env::var_os("CORRAL_MODULE").map_or(built, PathBuf::from);
    std::fs::canonicalize(&module).unwrap_or_else(|_| panic!("no module at {}: run `make build`", module.display()))
}
