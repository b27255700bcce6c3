//! What all visitors share with the one who directs them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};

pub struct Scene {
    pub seed: u64,
    port: AtomicU16,
    rests: AtomicBool,
    /// The server's memory is full: it evicts whatever it likes.
    full: AtomicBool,
    over: AtomicBool,
    /// Visitors that have left until the rest is over.
    pub resting: AtomicUsize,
    /// Everybody's last connection, for everybody to kill.
    pub connections: Vec<AtomicI64>,
    pub commands: AtomicU64,
    /// Writes of own keys that were acknowledged.
    pub acknowledged: AtomicU64,
    /// Own keys that were compared with what was acknowledged.
    pub compared: AtomicU64,
    /// Calls whose connection ended.
    pub closed: AtomicU64,
    /// Settings of groups that were taken, and that were refused as they should be.
    pub groups_changed: AtomicU64,
    pub groups_refused: AtomicU64,
    /// Visitors who unblock or kill others read; whoever pauses the server, flushes, narrows its memory or has it refuse
    /// writes, writes.
    /// Redis, without any module, aborts on CLIENT UNBLOCK of a client that is held back by CLIENT PAUSE (7.0, which
    /// may also answer it twice) or by a FLUSHDB of its own (7.4). And a visitor that is killed just when its fill
    /// is refused cannot know what came of the fill.
    pub quiet: RwLock<()>,
    answers: Mutex<BTreeMap<String, u64>>,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Scene {
    pub fn new(seed: u64, visitors: usize, port: u16) -> Self {
        Self {
            seed,
            port: AtomicU16::new(port),
            rests: AtomicBool::new(false),
            full: AtomicBool::new(false),
            over: AtomicBool::new(false),
            resting: AtomicUsize::new(0),
            connections: (0..visitors).map(|_| AtomicI64::new(0)).collect(),
            commands: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            compared: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            groups_changed: AtomicU64::new(0),
            groups_refused: AtomicU64::new(0),
            quiet: RwLock::default(),
            answers: Mutex::default(),
            errors: Mutex::default(),
        }
    }

    pub fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    pub fn move_to(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    pub fn rests(&self) -> bool {
        self.rests.load(Ordering::SeqCst)
    }

    /// Sends everybody home, or has them come back.
    pub fn rest(&self, yes: bool) {
        self.rests.store(yes, Ordering::SeqCst);
    }

    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::SeqCst)
    }

    pub fn set_full(&self, yes: bool) {
        self.full.store(yes, Ordering::SeqCst);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub fn count_answer(&self, state: &str) {
        *self.answers.lock().unwrap().entry(state.to_owned()).or_default() += 1;
    }

    /// By its code.
    pub fn count_error(&self, sentence: &str) {
        let code = sentence.split(' ').next().unwrap_or_default();
        *self.errors.lock().unwrap().entry(code.to_owned()).or_default() += 1;
    }

    pub fn print(&self) {
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        eprintln!("  {} commands, {} calls whose connection ended", number(&self.commands), number(&self.closed));
        let (changed, refused) = (number(&self.groups_changed), number(&self.groups_refused));
        eprintln!("  {changed} changes of the groups, {refused} wrong ones refused");
        eprintln!("  answers: {:?}", self.answers.lock().unwrap());
        eprintln!("  errors: {:?}", self.errors.lock().unwrap());
        let (acknowledged, compared) = (number(&self.acknowledged), number(&self.compared));
        eprintln!("  {acknowledged} acknowledged writes of own keys, {compared} comparisons, none lost");
    }

    /// Ends the scene on drop, also when a test fails: nobody is to stay behind.
    pub fn curtain(&self) -> Curtain<'_> {
        Curtain(self)
    }
}

pub struct Curtain<'a>(&'a Scene);

impl Drop for Curtain<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}
