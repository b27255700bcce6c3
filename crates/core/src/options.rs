//! The options of the commands: one definition each, from which parsing, COMMAND DOCS and the documents come.

use core::ffi::CStr;
use core::ops::RangeInclusive;

use crate::settings::BACKOFF_LIMIT_MS;
use crate::tag::TAGS_LIMIT;
use crate::time::MAX_MS;

/// One option of one or more commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommandOption {
    /// The word that says it.
    pub word: &'static str,
    /// The same for COMMAND DOCS.
    pub token: &'static CStr,
    /// What COMMAND DOCS calls the value, or the option itself if it has none.
    pub name: &'static CStr,
    pub takes: Takes,
    /// What holds where it is not given; empty where that is nothing.
    pub default: &'static str,
    /// One line for the documents.
    pub meaning: &'static str,
}

/// What follows an option's word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    Nothing,
    /// A whole number; `unit` as errors say it, with a blank before.
    Number {
        least: u64,
        most: u64,
        unit: &'static str,
    },
    /// The same, a point in time.
    Moment {
        most: u64,
        unit: &'static str,
    },
    /// A lease's length: up to a setting.
    Lease,
    /// A decimal number from 0.
    Decimal {
        most: u32,
    },
    /// A group's name.
    Group,
    /// A count and so many tags.
    Tags,
    /// One of these words.
    OneOf(&'static [Choice]),
}

/// One word of several, as it is said and as COMMAND DOCS names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice {
    pub token: &'static CStr,
    pub name: &'static CStr,
}

/// The unit of most numbers.
pub const MS: &str = " milliseconds";
const S: &str = " seconds";

const MS_NAME: &CStr = c"milliseconds";
const OF_GROUP: &str = "the group's";

pub const LEASE: CommandOption = CommandOption::new(c"LEASE", MS_NAME, Takes::Lease)
    .or("the group's, then `corral.lease-ms`")
    .means("length of the lease if this call is granted one");
pub const BLOCK: CommandOption = ms(c"BLOCK", MS_NAME, 0..=MAX_MS)
    .or(OF_GROUP)
    .means("park until there is an answer, at most so long; 0 is no limit of its own");
pub const NOSTALE: CommandOption =
    flag(c"NOSTALE", c"no-stale").means("no old value: never STALE, and LOCK instead of REFRESH");
pub const FORCE: CommandOption = flag(c"FORCE", c"force")
    .means("ask for the lease although the value is fresh or a PASS mark is set; the others keep getting HIT or PASS");
pub const EARLY: CommandOption = CommandOption::new(c"EARLY", c"beta", Takes::Decimal { most: 100 })
    .or("`corral.early-beta`")
    .means("early refresh (XFetch); 0 is never, 1.0 usual, more is earlier");
pub const TIED: CommandOption = flag(c"TIED", c"tied").means("the lease ends when this connection closes");
pub const NOTIFY: CommandOption =
    flag(c"NOTIFY", c"notify").means("after WAIT, publish a message when there is an answer");
pub const GROUP: CommandOption =
    CommandOption::new(c"GROUP", c"name", Takes::Group).means("the [group](#groups) of this rebuild");
pub const ONCE: CommandOption = ms(c"ONCE", MS_NAME, 0..=MAX_MS)
    .means("not to be run twice: if the lease ends without a verdict, nobody is promoted for so long, 0 for ever: [once](#once)");

pub const EX: CommandOption = CommandOption::new(c"EX", c"seconds", number(1, MAX_S, S))
    .or("fresh for ever")
    .means("the soft deadline, in seconds from now");
pub const PX: CommandOption = ms(c"PX", MS_NAME, 1..=MAX_MS).or("fresh for ever").means("the same in milliseconds");
pub const EXAT: CommandOption =
    CommandOption::new(c"EXAT", c"unix-time-seconds", Takes::Moment { most: MAX_S, unit: S })
        .or("fresh for ever")
        .means("the soft deadline as a point in time");
pub const PXAT: CommandOption =
    CommandOption::new(c"PXAT", c"unix-time-milliseconds", Takes::Moment { most: MAX_MS, unit: MS })
        .or("fresh for ever")
        .means("the same in milliseconds");
pub const SWR: CommandOption = ms(c"SWR", c"stale-while-revalidate-milliseconds", 0..=MAX_MS)
    .or("the group's, then `corral.swr-ms`")
    .means("after the soft deadline, so long the old value serves while somebody rebuilds");
pub const SIE: CommandOption = ms(c"SIE", c"stale-if-error-milliseconds", 0..=MAX_MS)
    .or("the group's, then `corral.sie-ms`")
    .means("after the soft deadline, so long it serves while rebuilds fail");
pub const JITTER: CommandOption = CommandOption::new(c"JITTER", c"percent", number(0, 100, " percent"))
    .or("the group's, then `corral.jitter-percent`")
    .means("shortens the fresh time by a random part, up to so much of it");
pub const TAGS: CommandOption = CommandOption::new(c"TAGS", c"tags", Takes::Tags)
    .or("none; TOUCH: those it has")
    .means("[`CACHE.INVALIDATETAG`](#cacheinvalidatetag) purges by them");
pub const VERSION: CommandOption = CommandOption::new(c"VERSION", c"version", number(0, MAX_MS, ""))
    .or("none")
    .means("how new the source was when the value was read: [`CACHE.OUTDATE`](#cacheoutdate)");
pub const NX: CommandOption = flag(c"NX", c"nx").means(
    "only where there is no fresh value (an ordinary string or another type counts as one) and no live lease; a stale \
     value, a back-off and a PASS mark do not hinder it",
);

const BACKOFF: CommandOption = ms(c"BACKOFF", MS_NAME, 0..=BACKOFF_LIMIT_MS)
    .or("the group's, then `corral.backoff-ms`")
    .means("so long nobody is granted the lease; failures in a row double it, up to `corral.backoff-max-ms`");
const MARK: CommandOption =
    ms(c"PX", MS_NAME, 1..=MAX_MS).or("`corral.pass-ms`").means("how long everyone builds for themselves");
const FLOOR: CommandOption =
    ms(c"PX", MS_NAME, 1..=MAX_MS).or("`corral.floor-ms`").means("how long the floor is kept, with or without a value");
const TIE: CommandOption = flag(c"TIED", c"tied").means("the lease is from now on tied to this connection, its holder");
const CAP: CommandOption = ms(c"SWR", c"stale-while-revalidate-milliseconds", 0..=MAX_MS)
    .or("each entry's own windows")
    .means("caps how long old values serve after it; 0 is the hard purge");
pub const COUNT: CommandOption =
    CommandOption::new(c"COUNT", c"count", number(1, u32::MAX as u64, "")).or("all").means("at most so many");
pub const MINAGE: CommandOption =
    ms(c"MINAGE", MS_NAME, 0..=MAX_MS).or("0").means("only those held for at least so long");
pub const ONLY_GROUP: CommandOption = CommandOption::new(c"GROUP", c"name", Takes::Group)
    .or("all")
    .means("only those of this group (`other`: of the names that are not counted each for itself)");
pub const TOP_COUNT: CommandOption =
    CommandOption::new(c"COUNT", c"count", number(1, 1000, "")).or("10").means("at most so many");
pub const BY: CommandOption = CommandOption::new(c"BY", c"by", Takes::OneOf(&COSTS))
    .or("WAIT")
    .means("summed waiting time, summed build time, grants, or rebuilds saved");

/// In the order of [`crate::request::Cost`].
static COSTS: [Choice; 4] = [
    Choice { token: c"WAIT", name: c"wait" },
    Choice { token: c"BUILD", name: c"build" },
    Choice { token: c"GRANTS", name: c"grants" },
    Choice { token: c"SAVED", name: c"saved" },
];

/// What each command takes, in the order in which COMMAND DOCS and complaints name them.
pub static GET_OR_LOCK: [CommandOption; 9] = [LEASE, BLOCK, NOSTALE, FORCE, EARLY, TIED, NOTIFY, GROUP, ONCE];
pub static MGET_OR_LOCK: [CommandOption; 8] = [LEASE, NOSTALE, FORCE, EARLY, TIED, NOTIFY, GROUP, ONCE];
/// FILL's and TOUCH's; the first four exclude each other.
pub static LABELS: [CommandOption; 9] = [EX, PX, EXAT, PXAT, SWR, SIE, JITTER, TAGS, VERSION];
pub static SET: [CommandOption; 10] = [EX, PX, EXAT, PXAT, SWR, SIE, JITTER, TAGS, VERSION, NX];
pub static FAIL: [CommandOption; 1] = [BACKOFF];
pub static PASS: [CommandOption; 1] = [MARK];
pub static RENEW: [CommandOption; 1] = [TIE];
pub static INVALIDATE_TAG: [CommandOption; 1] = [CAP];
pub static OUTDATE: [CommandOption; 1] = [FLOOR];
pub static LEASES: [CommandOption; 3] = [COUNT, MINAGE, ONLY_GROUP];
pub static TOP: [CommandOption; 2] = [TOP_COUNT, BY];

const MAX_S: u64 = MAX_MS / 1000;

const fn flag(token: &'static CStr, name: &'static CStr) -> CommandOption {
    CommandOption::new(token, name, Takes::Nothing)
}

const fn ms(token: &'static CStr, name: &'static CStr, range: RangeInclusive<u64>) -> CommandOption {
    CommandOption::new(token, name, number(*range.start(), *range.end(), MS))
}

const fn number(least: u64, most: u64, unit: &'static str) -> Takes {
    Takes::Number { least, most, unit }
}

impl CommandOption {
    pub const fn new(token: &'static CStr, name: &'static CStr, takes: Takes) -> Self {
        // A word is ASCII; one that is not would be an option without a word, which no caller could say.
        let word = match core::str::from_utf8(token.to_bytes()) {
            Ok(word) => word,
            Err(_) => "",
        };
        Self { word, token, name, takes, default: "", meaning: "" }
    }

    const fn or(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    const fn means(self, meaning: &'static str) -> Self {
        Self { meaning, ..self }
    }

    /// The numbers it takes, and their unit; nothing for what is no number. A lease's length is bounded by a setting.
    pub const fn range(&self) -> (u64, u64, &'static str) {
        match self.takes {
            Takes::Number { least, most, unit } => (least, most, unit),
            Takes::Moment { most, unit } => (1, most, unit),
            Takes::Lease => (1, crate::lease::LEASE_LIMIT_MS, MS),
            Takes::Decimal { most } => (0, most as u64, ""),
            Takes::Tags => (1, TAGS_LIMIT as u64, ""),
            Takes::Nothing | Takes::Group | Takes::OneOf(_) => (0, 0, ""),
        }
    }

    /// Whether it is one of those that say when a value becomes stale.
    pub fn is_soft_deadline(&self) -> bool {
        [EX, PX, EXAT, PXAT].contains(self)
    }
}
