//! The commands as the server tells of them, and their options as the core defines them.

use anyhow::{Context, Result};
use corral_core::options::{self, CommandOption, Takes};
use corral_testkit::{Client, Reply};

use crate::tables::wrapped;
use crate::{head, row};

/// What the server says of the module's commands, in the order of the documents.
pub(crate) struct Commands(Vec<Command>);

struct Command {
    name: String,
    arguments: String,
    summary: String,
    since: String,
    complexity: String,
    categories: String,
}

/// The commands, in the order in which they are told; after the name, the options that have a table of their own.
const ORDER: [(&str, &[CommandOption]); 21] = [
    ("GETORLOCK", &options::GET_OR_LOCK),
    ("MGETORLOCK", &[]),
    ("GET", &[]),
    ("MGET", &[]),
    ("FILL", &[]),
    ("TOUCH", &[]),
    ("FAIL", &options::FAIL),
    ("PASS", &options::PASS),
    ("RENEW", &options::RENEW),
    ("RELEASE", &[]),
    ("SET", &[options::NX]),
    ("INVALIDATE", &[]),
    ("INVALIDATETAG", &options::INVALIDATE_TAG),
    ("OUTDATE", &options::OUTDATE),
    ("INFO", &[]),
    ("TAGS", &[]),
    ("LEASES", &options::LEASES),
    ("TOP", &options::TOP),
    ("VERSION", &[]),
    ("APPLY", &[]),
    ("PROBE", &[]),
];

impl Commands {
    pub(crate) fn ask(client: &mut Client) -> Self {
        let listed = client.run("COMMAND LIST FILTERBY MODULE corral").list().len();
        assert_eq!(listed, ORDER.len(), "tools/docs does not know every command");
        Self(ORDER.iter().map(|(name, _)| Command::ask(client, &format!("CACHE.{name}"))).collect())
    }

    /// Every command in one line: its section says what it does.
    pub(crate) fn links(&self) -> String {
        let public = self.0.iter().filter(|command| !command.is_internal());
        let links = public.map(|command| {
            let anchor = command.name.replace('.', "").to_lowercase();
            format!("[`{}`](#{anchor})", command.name)
        });
        format!("\n{}\n\n", links.collect::<Vec<_>>().join(" ·\n"))
    }

    /// What FILL, SET and TOUCH say of a value.
    pub(crate) fn labels(&self) -> String {
        format!("\n```text\n{}\n```\n\n{}\n", indented(&labels()), options_table(&options::LABELS))
    }

    /// The head of a command's section.
    pub(crate) fn section(&self, name: &str) -> Result<String> {
        let command = self.0.iter().find(|command| command.name == name).context("no such command")?;
        let (_, own) = ORDER.iter().find(|(short, _)| format!("CACHE.{short}") == name).context("no such command")?;
        let syntax = format!("{} {}", command.name, command.arguments);
        // What was there from the beginning needs no date.
        let since = if command.since == "0.1.0" { String::new() } else { format!("Since {} · ", command.since) };
        let facts = format!(
            "{since}{} · {}",
            command.complexity,
            command.categories.split(' ').map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" "),
        );
        let table = if own.is_empty() { String::new() } else { format!("\n{}", options_table(own)) };
        Ok(format!("\n```text\n{}\n```\n\n{}.\n\n{facts}\n{table}\n", indented(syntax.trim_end()), command.summary))
    }
}

impl Command {
    fn ask(client: &mut Client, name: &str) -> Self {
        let docs = client.run(&format!("COMMAND DOCS {name}")).list()[1].clone();
        let info = client.run(&format!("COMMAND INFO {name}")).list()[0].clone();
        let arguments: Vec<String> = match has(&docs, "arguments") {
            true => docs.field("arguments").list().iter().map(written).collect(),
            false => Vec::new(),
        };
        let text = |field: &str| docs.field(field).text();
        Self {
            name: name.to_owned(),
            arguments: arguments.join(" "),
            summary: text("summary"),
            since: text("since"),
            complexity: text("complexity"),
            categories: categories(&info),
        }
    }

    fn is_internal(&self) -> bool {
        self.summary.starts_with("Internal")
    }
}

/// The ACL categories that follow from a command's flags and from what it does to its keys. Servers before 7.2 give a
/// module's commands none, so they are not asked.
fn categories(info: &Reply) -> String {
    let flags: Vec<String> = info.list()[2].list().iter().map(Reply::text).collect();
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let access: Vec<String> = info.list()[8]
        .list()
        .first()
        .map_or_else(Vec::new, |spec| spec.field("flags").list().iter().map(Reply::text).collect());
    let changes = has("write") || access.iter().any(|flag| flag == "update");
    let words = [
        Some(if changes { "@write" } else { "@read" }),
        Some(if has("fast") { "@fast" } else { "@slow" }),
        has("blocking").then_some("@blocking"),
        has("admin").then_some("@admin @dangerous"),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// One argument of COMMAND DOCS, as redis-cli writes its hints.
fn written(argument: &Reply) -> String {
    let flags: Vec<String> = match has(argument, "flags") {
        true => argument.field("flags").list().iter().map(Reply::text).collect(),
        false => Vec::new(),
    };
    let is = |flag: &str| flags.iter().any(|given| given == flag);
    let name = short(&argument.field("name").text());
    let token = if has(argument, "token") { argument.field("token").text() } else { String::new() };
    let parts = |between: &str| {
        let parts = argument.field("arguments").list().iter().map(written).collect::<Vec<_>>().join(between);
        format!("{token} {parts}").trim_start().to_owned()
    };
    let mut text = match argument.field("type").text().as_str() {
        "pure-token" => token,
        "oneof" => parts(" | "),
        "block" => parts(" "),
        _ if token.is_empty() => name.clone(),
        _ => format!("{token} {name}"),
    };
    if is("multiple") {
        text += &format!(" [{name} ...]");
    }
    match is("optional") {
        true => format!("[{text}]"),
        false => text,
    }
}

fn has(map: &Reply, field: &str) -> bool {
    map.list().chunks(2).any(|pair| pair[0].text() == field)
}

/// The documents' short words for what hints spell out.
fn short(name: &str) -> String {
    match name {
        "seconds" => "s",
        "unix-time-seconds" => "unix-s",
        "unix-time-milliseconds" => "unix-ms",
        "count" => "n",
        name if name.ends_with("milliseconds") => "ms",
        name => name,
    }
    .to_owned()
}

fn labels() -> String {
    let soft: Vec<String> = options::LABELS.iter().filter(|option| option.is_soft_deadline()).map(said).collect();
    let others = options::LABELS.iter().filter(|option| !option.is_soft_deadline());
    let others = others.map(|option| format!("[{}]", said(option)));
    std::iter::once(format!("[{}]", soft.join(" | "))).chain(others).collect::<Vec<_>>().join(" ")
}

/// An option as it is written.
fn said(option: &CommandOption) -> String {
    let name = short(option.name.to_str().unwrap());
    match option.takes {
        Takes::Nothing => option.word.to_owned(),
        Takes::Tags => format!("{} n tag [tag ...]", option.word),
        Takes::OneOf(words) => {
            let words: Vec<&str> = words.iter().map(|word| word.token.to_str().unwrap()).collect();
            format!("{} {}", option.word, words.join(" | "))
        }
        _ => format!("{} {name}", option.word),
    }
}

fn options_table(options: &[CommandOption]) -> String {
    let rows = options.iter().map(|option| {
        let (least, most, _) = option.range();
        let range = match option.takes {
            Takes::Nothing | Takes::Group | Takes::OneOf(_) => String::new(),
            Takes::Lease => "1 to `corral.lease-max-ms`".to_owned(),
            Takes::Decimal { .. } => format!("{least} to {most}, decimals"),
            Takes::Tags => {
                format!("{least} to {most} tags of 1 to {} bytes", corral_core::tag::TAG_LIMIT)
            }
            Takes::Number { .. } | Takes::Moment { .. } => format!("{least} to {most}"),
        };
        row([&format!("`{}`", said(option)), range.as_str(), option.default, option.meaning])
    });
    head(&["option", "range", "default", "meaning"]) + &rows.collect::<String>()
}

/// Long lines broken, what follows moved in.
fn indented(text: &str) -> String {
    wrapped_brackets(text).join("\n    ")
}

/// Broken between options, never inside one.
fn wrapped_brackets(text: &str) -> Vec<String> {
    const GLUE: char = '\u{1}';
    let mut depth = 0;
    let glued: String = text
        .chars()
        .map(|letter| {
            match letter {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            if letter == ' ' && depth > 0 {
                GLUE
            } else {
                letter
            }
        })
        .collect();
    wrapped(&glued, WIDTH).iter().map(|line| line.replace(GLUE, " ")).collect()
}

const WIDTH: usize = 110;
