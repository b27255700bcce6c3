//! Keys that only one visitor writes: it knows what their value must be, whatever happened to the server meanwhile.

/// One key and what is known of it.
pub struct OwnKey {
    pub name: String,
    /// The version that the key must have, or a later one that was attempted. `None` until the first was acknowledged.
    acknowledged: Option<u64>,
    /// The version that was sent last.
    attempted: u64,
}

impl OwnKey {
    pub fn new(name: String) -> Self {
        Self { name, acknowledged: None, attempted: 0 }
    }

    /// A value that was never used before.
    pub fn next_value(&mut self, padding: usize) -> String {
        self.attempted += 1;
        format!("{}:{}", self.attempted, "x".repeat(padding))
    }

    /// The server said that the last value is stored.
    pub fn acknowledge(&mut self) {
        self.acknowledged = Some(self.attempted);
    }

    /// The server was emptied, or may have evicted the key.
    pub fn forget(&mut self) {
        self.acknowledged = None;
    }

    /// Compares the key with what is known. Says whether there was something to compare. `evicts`: a key that is not
    /// there tells nothing; one that is there is never an older one.
    pub fn compare(&mut self, value: Option<&str>, evicts: bool, seed: u64) -> bool {
        let Some(acknowledged) = self.acknowledged else { return false };
        let found = value.and_then(|value| value.split(':').next()?.parse::<u64>().ok());
        if found.is_none() && evicts {
            self.forget();
            return false;
        }
        assert!(
            found.is_some_and(|found| (acknowledged..=self.attempted).contains(&found)),
            "seed {seed}: {} was acknowledged with version {acknowledged}, {} was attempted, {found:?} is there",
            self.name,
            self.attempted,
        );
        self.acknowledged = found;
        true
    }

    /// Whether the key is known to have the value that was sent last.
    pub fn has_the_last_value(&self) -> bool {
        self.acknowledged == Some(self.attempted)
    }
}
