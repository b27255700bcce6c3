//! `[EX s | PX ms | EXAT unix-s | PXAT unix-ms] [SWR ms] [SIE ms] [JITTER percent]`: the time options of FILL, SET and
//! TOUCH.

use corral_lease::freshness::{Freshness, SoftDeadline};
use corral_lease::time::{UnixMs, MAX_MS};

use super::args::{number, Once, Words, MS};
use crate::redis::refusal::Refusal;
use crate::redis::settings;
use crate::redis::sys::command::{Arg, Kind};

const ALLOWED: &str = "EX, PX, EXAT, PXAT, SWR, SIE, JITTER";
const SOFT: &str = "EX, PX, EXAT or PXAT";
const MAX_S: u64 = MAX_MS / 1000;

/// The four ways to say when the value becomes stale. At most one is given.
pub const SOFT_ARG: Arg = Arg::one_of(
    c"soft-deadline",
    &[
        Arg::option(c"EX", c"seconds", Kind::Integer),
        Arg::option(c"PX", c"milliseconds", Kind::Integer),
        Arg::option(c"EXAT", c"unix-time-seconds", Kind::UnixTime),
        Arg::option(c"PXAT", c"unix-time-milliseconds", Kind::UnixTime),
    ],
);
pub const SWR_ARG: Arg = Arg::option(c"SWR", c"stale-while-revalidate-milliseconds", Kind::Integer);
pub const SIE_ARG: Arg = Arg::option(c"SIE", c"stale-if-error-milliseconds", Kind::Integer);
pub const JITTER_ARG: Arg = Arg::option(c"JITTER", c"percent", Kind::Integer);

/// Parses the options; what is not given comes from the settings.
pub fn parse<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Freshness, Refusal> {
    let mut words = Words::new(words, ALLOWED);
    let mut soft = Once::new(SOFT);
    let (mut swr, mut sie, mut jitter) = (Once::new("SWR"), Once::new("SIE"), Once::new("JITTER"));
    while let Some(word) = words.option() {
        if let Some(unit) = SoftOption::named(word) {
            let value = words.value(unit.name())?;
            soft.set(unit.parse(value)?)?;
        } else if swr.is(word) {
            let ms = words.number(swr.name(), 0..=MAX_MS, MS)?;
            swr.set(ms)?;
        } else if sie.is(word) {
            let ms = words.number(sie.name(), 0..=MAX_MS, MS)?;
            sie.set(ms)?;
        } else if jitter.is(word) {
            let percent = words.number(jitter.name(), 0..=100, " percent")?;
            jitter.set(percent)?;
        } else {
            return Err(words.unknown(word));
        }
    }
    if !soft.is_given() {
        // A window or a spread around a deadline that never comes says nothing, and was surely not meant.
        for (given, option) in [(swr.is_given(), "SWR"), (sie.is_given(), "SIE"), (jitter.is_given(), "JITTER")] {
            if given {
                return Err(Refusal::Needs { option, needed: SOFT });
            }
        }
    }
    let jitter_percent = jitter.get().unwrap_or_else(|| settings::JITTER_PERCENT.get());
    Ok(Freshness {
        soft: soft.get().unwrap_or(SoftDeadline::Never),
        swr_ms: swr.get().unwrap_or_else(|| settings::SWR_MS.get()),
        sie_ms: sie.get().unwrap_or_else(|| settings::SIE_MS.get()),
        jitter_percent: u8::try_from(jitter_percent).unwrap_or(100),
    })
}

#[derive(Clone, Copy)]
enum SoftOption {
    Ex,
    Px,
    ExAt,
    PxAt,
}

impl SoftOption {
    fn named(word: &[u8]) -> Option<Self> {
        let all = [SoftOption::Ex, SoftOption::Px, SoftOption::ExAt, SoftOption::PxAt];
        all.into_iter().find(|option| word.eq_ignore_ascii_case(option.name().as_bytes()))
    }

    const fn name(self) -> &'static str {
        match self {
            SoftOption::Ex => "EX",
            SoftOption::Px => "PX",
            SoftOption::ExAt => "EXAT",
            SoftOption::PxAt => "PXAT",
        }
    }

    fn parse(self, word: &[u8]) -> Result<SoftDeadline, Refusal> {
        let seconds = || number(word, self.name(), 1..=MAX_S, " seconds");
        let ms = || number(word, self.name(), 1..=MAX_MS, MS);
        Ok(match self {
            SoftOption::Ex => SoftDeadline::In(seconds()?.saturating_mul(1000)),
            SoftOption::Px => SoftDeadline::In(ms()?),
            SoftOption::ExAt => SoftDeadline::At(UnixMs::new(seconds()?.saturating_mul(1000))),
            SoftOption::PxAt => SoftDeadline::At(UnixMs::new(ms()?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Freshness, String> {
        parse(line.split_whitespace().map(str::as_bytes))
            .map_err(|refusal| refusal.sentence().to_string_lossy().into_owned())
    }

    #[test]
    fn options_come_in_any_order_and_case() {
        let freshness = parsed("sie 5 jitter 10 Swr 7 ex 3").unwrap();
        assert_eq!(freshness, Freshness { soft: SoftDeadline::In(3000), swr_ms: 7, sie_ms: 5, jitter_percent: 10 });
    }

    #[test]
    fn each_may_be_given_once_and_the_four_exclude_each_other() {
        assert_eq!(parsed("EX 1 PX 1").unwrap_err(), "ERR syntax error: only one EX, PX, EXAT or PXAT may be given");
        assert_eq!(parsed("EX 1 SWR 1 swr 1").unwrap_err(), "ERR syntax error: only one SWR may be given");
    }

    #[test]
    fn windows_need_a_soft_deadline() {
        for option in ["SWR 5", "SIE 5", "JITTER 5"] {
            assert!(parsed(option).unwrap_err().contains("needs EX, PX, EXAT or PXAT"), "{option}");
        }
    }
}
