//! The words of one line, and the options of the commands.

use std::collections::VecDeque;

use corral_lease::ask::Ask;
use corral_lease::freshness::{Freshness, SoftDeadline};

use super::START;

/// What is left of a line.
pub struct Words<'a>(VecDeque<&'a str>);

impl<'a> Words<'a> {
    pub fn of(line: &'a str) -> Self {
        Self(line.split_whitespace().collect())
    }

    pub fn next(&mut self) -> Result<&'a str, String> {
        self.0.pop_front().ok_or_else(|| "ends early".to_owned())
    }

    pub fn number(&mut self) -> Result<u64, String> {
        self.next()?.parse().map_err(|_| "no number".to_owned())
    }

    /// Takes the next word if it is this one.
    pub fn takes(&mut self, word: &str) -> bool {
        let is = self.0.front() == Some(&word);
        if is {
            self.0.pop_front();
        }
        is
    }

    pub fn ask(&mut self) -> Result<(Ask, Option<u64>), String> {
        let mut ask = Ask { lease_ms: 10_000, early_beta: 0.0, no_stale: false, force: false, tied: false };
        let mut block_ms = None;
        while let Some(word) = self.0.pop_front() {
            match word {
                "LEASE" => ask.lease_ms = self.number()?,
                "BLOCK" => block_ms = Some(self.number()?),
                "EARLY" => ask.early_beta = self.next()?.parse().map_err(|_| "no number")?,
                "NOSTALE" => ask.no_stale = true,
                "FORCE" => ask.force = true,
                "TIED" => ask.tied = true,
                other => return Err(format!("{other} is no option")),
            }
        }
        Ok((ask, block_ms))
    }

    pub fn freshness(&mut self) -> Result<Freshness, String> {
        let mut freshness = Freshness { soft: SoftDeadline::Never, swr_ms: 0, sie_ms: 0, jitter_percent: 0 };
        while let Some(word) = self.0.pop_front() {
            let number = self.number()?;
            match word {
                "PX" => freshness.soft = SoftDeadline::In(number),
                "PXAT" => freshness.soft = SoftDeadline::At(START.plus(number)),
                "SWR" => freshness.swr_ms = number,
                "SIE" => freshness.sie_ms = number,
                "JITTER" => freshness.jitter_percent = u8::try_from(number).map_err(|_| "over 100")?,
                other => return Err(format!("{other} is no option")),
            }
        }
        Ok(freshness)
    }

    pub fn finish(self) -> Result<(), String> {
        match self.0.front() {
            None => Ok(()),
            Some(word) => Err(format!("{word} is too much")),
        }
    }
}
