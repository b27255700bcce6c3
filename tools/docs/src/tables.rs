//! What the core defines: states, settings, errors, fields.

use anyhow::{bail, Result};
use corral_core::answer::{State, STATES};
use corral_core::error::ERRORS;
use corral_core::fields::{self, Field, Percentiles};
use corral_core::node::stats::Counters;
use corral_core::settings::{Kind, Setting, Settings, SETTINGS};

use crate::{head, row};

/// The states: those of GETORLOCK, or the one that CACHE.GET has besides.
pub(crate) fn states(of_get_or_lock: bool) -> String {
    let rows = STATES.iter().filter(|described| (described.state != State::Miss) == of_get_or_lock);
    // Three columns: a telephone has no room for four.
    let rows = rows.map(|told| {
        let brought = format!("{}; {}", told.value, told.number);
        row([&format!("`{}`", told.state.word()), &brought, told.deed])
    });
    head(&["state", "value; number", "what the caller does"]) + &rows.collect::<String>()
}

pub(crate) fn settings() -> String {
    let defaults = Settings::default();
    let rows = SETTINGS.iter().map(|setting| {
        let name = format!("`corral.{}`", setting.name);
        row([&name, &format!("`{}`", default(&defaults, setting)), &range(setting), &code_words(setting.meaning)])
    });
    head(&["setting", "default", "range", "meaning"]) + &rows.collect::<String>()
}

/// The settings as comments of redis.conf.
pub(crate) fn settings_conf() -> String {
    let defaults = Settings::default();
    let shown = SETTINGS.iter().map(|setting| {
        let comment = wrapped(&format!("{} {}.", setting.meaning, upper(&range(setting))), CONF_WIDTH);
        let lines: String = comment.iter().map(|line| format!("# {line}\n")).collect();
        format!("{lines}# corral.{} {}\n", setting.name, default(&defaults, setting))
    });
    format!("\n{}\n", shown.collect::<Vec<_>>().join("\n"))
}

fn default(defaults: &Settings, setting: &Setting) -> String {
    let text = defaults.text(setting);
    if text.is_empty() {
        "\"\"".to_owned()
    } else {
        text
    }
}

fn range(setting: &Setting) -> String {
    match setting.kind {
        Kind::Number { .. } => format!("{} {}", setting.allowed(), setting.unit),
        Kind::Decimal { .. } => format!("{}, decimals", setting.allowed()),
        Kind::Flag { .. } => setting.allowed(),
        Kind::Groups => setting.unit.to_owned(),
    }
}

pub(crate) fn errors() -> String {
    let rows = ERRORS.iter().map(|error| row([&format!("`{}`", filled_in(error.sentence)), error.remedy]));
    head(&["error", "what to do"]) + &rows.collect::<String>()
}

/// `{name}` as `NAME`.
fn filled_in(sentence: &str) -> String {
    let parts = sentence.split(['{', '}']).enumerate();
    parts.map(|(at, part)| if at % 2 == 0 { part.to_owned() } else { part.to_uppercase() }).collect()
}

/// INFO's fields: gauges, counters, and the percentiles, which are gauges with a counter.
pub(crate) fn info() -> String {
    let gauges: String = fields::INFO_GAUGES.iter().map(|field| info_row(text(field), field.meaning)).collect();
    let counters: String = Counters::default().list().map(|(name, _, meaning)| info_row(name, meaning)).collect();
    let times = |times: &Percentiles| {
        let at = times.at.iter().map(|(field, _)| field).chain([&times.longest]).map(text);
        let names = at.map(|name| format!("`corral_{name}`")).collect::<Vec<_>>().join(", ");
        let median = lower(times.at[0].0.meaning.trim_end_matches('.'));
        (
            row([&names, &median.replace("median ", "percentiles of the ")]),
            info_row(text(&times.measured), times.measured.meaning),
        )
    };
    let ((builds, built), (waits, waited)) = (times(&fields::INFO_BUILDS), times(&fields::INFO_WAITS));
    let gauges = head(&["gauge", "meaning"]) + &gauges + &builds + &waits;
    gauges + "\n" + &head(&["counter", "meaning"]) + &counters + &built + &waited
}

fn info_row(name: &str, meaning: &str) -> String {
    row([&format!("`corral_{name}`"), &lower(&code_words(meaning.trim_end_matches('.')))])
}

fn text(field: &Field) -> &'static str {
    field.name.to_str().unwrap()
}

/// A map's fields; those that a map above has too are only named.
pub(crate) fn fields(of: &str) -> Result<String> {
    let told: Vec<&str> = fields::OF_KEY.iter().chain(&fields::OF_LEASE).map(text).collect();
    let (title, list, told): (&str, &[Field], &[&str]) = match of {
        "of a group" => ("field of a group", &fields::OF_GROUP, &[]),
        "of CACHE.INFO" => ("field of CACHE.INFO", &fields::OF_KEY, &[]),
        "of lease" => ("field of lease", &fields::OF_LEASE, &[]),
        "of holder" => ("field of holder", &fields::OF_HOLDER, &[]),
        "of CACHE.LEASES" => ("field of CACHE.LEASES", &fields::OF_LISTED_LEASE, &told),
        "of CACHE.TOP" => ("field of CACHE.TOP", &fields::OF_TOP, &[]),
        _ => bail!("there are no fields {of:?}"),
    };
    let (again, new): (Vec<&Field>, Vec<&Field>) = list.iter().partition(|field| told.contains(&text(field)));
    let mut rows: String = new.iter().map(|field| row([&format!("`{}`", text(field)), field.meaning])).collect();
    if !again.is_empty() {
        let names: Vec<String> = again.iter().map(|field| format!("`{}`", text(field))).collect();
        rows += &row([names.join(", ").as_str(), "as above"]);
    }
    Ok(head(&[title, "meaning"]) + &rows)
}

/// Names of settings and of the server's directives as code.
fn code_words(text: &str) -> String {
    let is_name = |word: &str| {
        let bare = word.trim_matches(|c: char| ",.;:()".contains(c));
        bare.starts_with("corral.") || bare == "maxmemory" || bare == "maxclients"
    };
    let quoted = |word: &str| {
        let bare = word.trim_matches(|c: char| ",.;:()".contains(c));
        word.replace(bare, &format!("`{bare}`"))
    };
    let words = text.split(' ').map(|word| if is_name(word) { quoted(word) } else { word.to_owned() });
    words.collect::<Vec<_>>().join(" ")
}

/// The first letter small, where the word is no name.
fn lower(text: &str) -> String {
    let mut letters = text.chars();
    let (first, second) = (letters.next(), letters.next());
    let is_name = second.is_some_and(char::is_uppercase);
    match first {
        Some(letter) if !is_name => letter.to_lowercase().chain(text.chars().skip(1)).collect(),
        _ => text.to_owned(),
    }
}

fn upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Lines of at most so many characters.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                *line += word;
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

const CONF_WIDTH: usize = 96;
