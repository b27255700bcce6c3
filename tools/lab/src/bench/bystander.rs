//! A client with nothing to do with it all, on a thread of its own: how long does its PING take meanwhile?

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

pub(crate) struct Bystander {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    longest_nanos: AtomicU64,
    over: AtomicBool,
}

impl Bystander {
    pub(crate) fn begin(port: u16) -> Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        let shared = Arc::new(Shared::default());
        let other = Arc::clone(&shared);
        // Ends with the server's connection, too.
        thread::spawn(move || while other.ping(&mut stream).is_ok() && !other.over.load(Ordering::Relaxed) {});
        Ok(Self { shared })
    }

    /// Seconds of the longest PING since this was last asked.
    pub(crate) fn longest(&self) -> f64 {
        Duration::from_nanos(self.shared.longest_nanos.swap(0, Ordering::SeqCst)).as_secs_f64()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn ping(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let begin = Instant::now();
        stream.write_all(b"PING\r\n")?;
        stream.read_exact(&mut [0; "+PONG\r\n".len()])?;
        self.longest_nanos.fetch_max(begin.elapsed().as_nanos() as u64, Ordering::SeqCst);
        thread::sleep(PAUSE);
        Ok(())
    }
}

/// Short beside what is looked for, and long enough that the bystander is no load.
const PAUSE: Duration = Duration::from_micros(300);
