//! docs/settings.md and redis.conf against the server: names, defaults, ranges to both ends and beyond, and the words
//! that refuse a bad value.

use super::{file, sentences, table};
use crate::harness::{Client, Server};

/// A row of the table.
struct Setting {
    name: String,
    default: String,
    range: String,
}

fn settings() -> Vec<Setting> {
    let rows = table(&file("docs/settings.md"), "| setting | default | unit | range |");
    let rows = rows.into_iter().map(|row| match row.as_slice() {
        [name, default, _, range, ..] => {
            let default = default.trim_matches('"').to_owned();
            Setting { name: name.clone(), default, range: range.clone() }
        }
        other => panic!("not a setting: {other:?}"),
    });
    rows.collect()
}

impl Setting {
    /// What is allowed at the ends of the range, and what is just outside or nonsense.
    fn ends(&self) -> (Vec<String>, Vec<String>) {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        match (self.range.as_str(), self.range.split_once(" to ")) {
            (_, Some((low, high))) => {
                let (low, high): (i64, i64) = (low.parse().unwrap(), high.parse().unwrap());
                let outside = [(low - 1).to_string(), (high + 1).to_string(), "nonsense".to_owned()];
                (vec![low.to_string(), high.to_string()], outside.to_vec())
            }
            ("yes or no", None) => (words(&["no", "yes"]), words(&["maybe", "1"])),
            ("groups", None) => {
                let refused =
                    ["a max", "a max x", "a most 1", "a max 1, a max 2", "b/c max 1", "other max 1", "a tied 1"];
                (words(&["a max 1, b fails 2 tied yes", ""]), words(&refused))
            }
            (other, None) => panic!("{}: what range is {other}?", self.name),
        }
    }

    /// What docs/settings.md says of this one.
    fn section(&self) -> String {
        let document = file("docs/settings.md");
        let (_, section) = document.split_once(&format!("\n### {}\n", self.name)).expect(&self.name);
        section.split("\n#").next().unwrap_or_default().to_owned()
    }
}

fn shown(client: &mut Client, name: &str) -> String {
    client.run(&format!("CONFIG GET {name}")).field(name).text()
}

#[test]
fn the_table_has_every_setting_with_the_default_of_a_fresh_server() {
    let server = Server::start();
    let mut client = server.client();
    let reply = client.run("CONFIG GET corral.*");
    let mut fresh: Vec<(String, String)> =
        reply.list().chunks(2).map(|pair| (pair[0].text(), pair[1].text())).collect();
    let mut written: Vec<(String, String)> =
        settings().into_iter().map(|setting| (setting.name, setting.default)).collect();
    fresh.sort();
    written.sort();
    assert_eq!(written, fresh);
}

#[test]
fn the_ends_of_each_range_are_allowed_and_what_lies_outside_is_refused_in_the_documents_words() {
    let server = Server::start();
    let mut client = server.client();
    for setting in settings() {
        let (name, section, (allowed, refused)) = (&setting.name, setting.section(), setting.ends());
        // The two bound each other.
        assert!(client.run("CONFIG SET corral.lease-ms 1 corral.lease-max-ms 86400000").is_ok());
        let set =
            |client: &mut Client, value: &str| client.call(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()]);
        for good in allowed {
            assert!(set(&mut client, &good).is_ok(), "{name} {good}");
            assert_eq!(shown(&mut client, name), good, "{name}");
        }
        let last = shown(&mut client, name);
        for bad in &refused {
            let reply = set(&mut client, bad);
            let (_, sentence) = reply.error().split_once(" - ").expect("the server says why");
            assert!(section.contains(&format!("`{sentence}`")), "{name} {bad}: {sentence:?} is not in\n{section}");
            assert!(reply.error().contains(name.as_str()), "{reply:?}");
            assert_eq!(shown(&mut client, name), last, "{name} {bad}");
        }
    }
}

#[test]
fn redis_conf_shows_every_setting_with_its_default_and_its_range() {
    let conf = file("redis.conf");
    let (mut names, mut comment) = (Vec::new(), String::new());
    let settings = settings();
    for line in conf.lines() {
        let Some(text) = line.strip_prefix("# ") else {
            comment.clear();
            continue;
        };
        let Some((name, default)) = text.strip_prefix("corral.").and_then(|rest| rest.split_once(' ')) else {
            comment = comment + " " + text;
            continue;
        };
        let name = format!("corral.{name}");
        let setting = settings.iter().find(|setting| setting.name == name);
        let setting = setting.unwrap_or_else(|| panic!("redis.conf shows {name}, docs/settings.md does not"));
        assert_eq!(default.trim_matches('"'), setting.default, "{name}");
        assert!(comment.contains(&setting.range), "the comment of {name} does not say {}: {comment}", setting.range);
        names.push(name);
    }
    assert_eq!(names.len(), settings.len(), "{names:?}");
}

#[test]
fn each_way_of_setting_does_what_the_document_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("given.conf");
    let module = module();
    std::fs::write(&path, format!("save \"\"\nloadmodule {module} lease-ms 1234\ncorral.swr-ms 77\n")).unwrap();
    let server = Server::with_file(&path);
    let mut client = server.client();
    assert_eq!(shown(&mut client, "corral.lease-ms"), "1234");
    assert_eq!(shown(&mut client, "corral.swr-ms"), "77");
    assert!(client.run("CONFIG SET corral.sie-ms 88").is_ok());
    assert!(client.run("CONFIG REWRITE").is_ok());
    let rewritten = std::fs::read_to_string(&path).unwrap();
    assert!(rewritten.contains("corral.sie-ms 88") && rewritten.contains("corral.swr-ms 77"), "{rewritten}");
}

#[test]
fn bad_arguments_of_loadmodule_are_refused_in_the_documents_words() {
    let document = file("docs/settings.md");
    let rows = table(&document, "| arguments of loadmodule | line in the log |");
    assert!(rows.len() >= 4, "{rows:?}");
    for row in &rows {
        let [arguments, line] = row.as_slice() else { panic!("not a row: {row:?}") };
        let log = log_of_refused_load(arguments);
        assert!(log.contains(line), "{arguments}: no {line:?} in\n{log}");
    }
    // No sentence is missing.
    let words = ["must be", "must not be", "needs a value", "there is no setting", "not as an argument"];
    let is_complaint = |literal: &str| words.iter().any(|word| literal.contains(word));
    let mut known = sentences(&file("src/settings.rs"), is_complaint);
    known.extend(sentences(&file("crates/core/src/settings.rs"), is_complaint));
    // Groups have sentences of their own.
    known.retain(|sentence| !sentence.contains("option value"));
    assert!(known.len() > 6, "{known:?}");
    for sentence in known {
        let found = rows.iter().any(|row| super::errors::fits(&format!("...{sentence}"), &row[1]));
        assert!(found, "no row for {sentence:?}");
    }
}

fn module() -> String {
    let built = || super::root().join("target/release/libcorral.so").to_string_lossy().into_owned();
    std::env::var("CORRAL_MODULE").unwrap_or_else(|_| built())
}

/// Starts a server that is to refuse the module, and gives back its log.
fn log_of_refused_load(arguments: &str) -> String {
    let module = module();
    let program = std::env::var("CORRAL_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    let directory = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(program)
        .args(["--port", "0", "--unixsocket", "socket", "--save", "", "--dir"])
        .arg(directory.path())
        .args(["--loadmodule", &module])
        .args(arguments.split(' '))
        .output()
        .unwrap();
    assert!(!output.status.success(), "{arguments}: the server runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
