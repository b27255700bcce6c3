//! What operators read: INFO corral, CACHE.INFO, CACHE.LEASES as the core names their fields, and the lines of the log.

use corral_core::fields::{self, Field, Percentiles};
use corral_core::node::stats::Counters;

use super::{file, sentences, table};
use crate::harness::story::fits;
use crate::harness::{eventually, Client, Reply, Server};

const DOCUMENT: &str = "docs/operations.md";

/// `INFO corral` as names and values.
fn info(client: &mut Client) -> Vec<(String, String)> {
    let text = client.run("INFO corral").text();
    let pairs = text.lines().filter_map(|line| line.trim().split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The fields of INFO corral, as the core has them: name, and whether it is a counter.
fn known() -> Vec<(String, bool)> {
    let name = |field: &Field| field.name.to_str().unwrap().to_owned();
    let times = |times: &Percentiles| {
        let at = times.at.iter().map(|(field, _)| (name(field), false));
        std::iter::once((name(&times.measured), true)).chain(at).chain([(name(&times.longest), false)]).collect()
    };
    let gauges = fields::INFO_GAUGES.iter().map(|field| (name(field), false));
    let counters = Counters::default().list().map(|(name, ..)| (name.to_owned(), true)).collect::<Vec<_>>();
    let times: [Vec<(String, bool)>; 2] = [times(&fields::INFO_BUILDS), times(&fields::INFO_WAITS)];
    let all = gauges.chain(counters).chain(times.into_iter().flatten());
    all.map(|(name, is_counter)| (format!("corral_{name}"), is_counter)).collect()
}

#[test]
fn info_corral_has_the_fields_that_the_core_names_in_their_order() {
    let server = Server::start();
    let shown: Vec<String> = info(&mut server.client()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(known().into_iter().map(|(name, _)| name).collect::<Vec<_>>(), shown);
}

/// A little of everything that is counted.
fn work(server: &Server) {
    let mut client = server.client();
    client.run("CACHE.SET fresh value");
    client.ask("CACHE.GETORLOCK fresh");
    let token = client.ask("CACHE.GETORLOCK page LEASE 60000").token();
    let mut waiter = server.client();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    assert!(client.run(&format!("CACHE.FILL page {token} html PX 60000")).is_ok());
    waiter.read().triple();
    client.run(&format!("CACHE.FILL page {token} late"));
    let token = client.ask("CACHE.GETORLOCK down").token();
    client.run(&format!("CACHE.FAIL down {token} message"));
    client.ask("CACHE.GETORLOCK held LEASE 60000").token();
}

#[test]
fn resetstat_sets_counters_to_nothing_and_leaves_gauges_of_what_there_is() {
    let server = Server::start();
    work(&server);
    let mut client = server.client();
    let before = info(&mut client);
    let value = |fields: &[(String, String)], name: &str| -> f64 {
        let found = fields.iter().find(|(field, _)| field == name);
        found.unwrap_or_else(|| panic!("no field {name}")).1.parse().unwrap()
    };
    for counted in ["corral_hits", "corral_fills", "corral_void_fills", "corral_failures", "corral_waiters_served"] {
        assert!(value(&before, counted) > 0.0, "{counted}");
    }
    client.run("CONFIG RESETSTAT");
    let after = info(&mut client);
    for (name, is_counter) in known() {
        let value = value(&after, &name);
        assert!(!is_counter || value == 0.0, "{name} is {value}");
    }
    assert_eq!(value(&after, "corral_live_leases"), 1.0);
}

/// The names of a reply's map.
fn names(map: &Reply) -> Vec<String> {
    map.list().chunks(2).map(|pair| pair[0].text()).collect()
}

#[test]
fn the_fields_of_real_replies_are_those_that_the_core_names() {
    let server = Server::start();
    let mut client = server.client();
    client.ask("CACHE.GETORLOCK page LEASE 60000").token();
    let names_of =
        |list: &[Field]| list.iter().map(|field| field.name.to_str().unwrap().to_owned()).collect::<Vec<_>>();
    let page = client.run("CACHE.INFO page");
    assert_eq!(names_of(&fields::OF_KEY), names(&page));
    assert_eq!(names_of(&fields::OF_LEASE), names(page.field("lease")));
    assert_eq!(names_of(&fields::OF_HOLDER), names(page.field("lease").field("holder")));
    let leases = client.run("CACHE.LEASES");
    assert_eq!(names_of(&fields::OF_LISTED_LEASE), names(&leases.list()[0]));
    let top = client.run("CACHE.TOP BY GRANTS");
    assert_eq!(names_of(&fields::OF_TOP), names(&top.list()[0]));
    let group = info(&mut client).into_iter().find(|(name, _)| name == "corral_group_default").expect("its line").1;
    let fields = group.split(',').filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
    assert_eq!(names_of(&fields::OF_GROUP), fields.collect::<Vec<_>>());
}

#[test]
fn the_lines_of_the_log_are_those_that_the_server_writes() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CONFIG SET corral.max-waiters 0");
    client.ask("CACHE.GETORLOCK left LEASE 100").token();
    client.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.client().ask("CACHE.GETORLOCK page BLOCK 10");
    let rows = table(&file(DOCUMENT), "| line | level |");
    let pattern = |begin: &str| -> String {
        let row = rows.iter().find(|row| row[0].starts_with(begin));
        placeholders_as_dots(&row.unwrap_or_else(|| panic!("no line {begin}"))[0])
    };
    for begin in ["version ", "lease expired", "waiter refused"] {
        let pattern = format!("...<corral> {}...", pattern(begin));
        eventually(&format!("the log has {pattern}"), || server.log().lines().any(|line| fits(&pattern, line)));
    }
    // And no line of the code is missing.
    let known = sentences(&file("src/log.rs"), |text| text.contains('{') && text.len() > 12);
    let lines: Vec<String> = rows.iter().map(|row| placeholders_as_dots(&row[0])).collect();
    // What begins so is part of a line: how many were left out, and who the holder is.
    let is_part = |sentence: &String| [" ", "client "].iter().any(|begin| sentence.starts_with(begin));
    for sentence in known.iter().filter(|sentence| !is_part(sentence)) {
        assert!(lines.iter().any(|line| is_same(line, sentence)), "no row for {sentence:?} in {lines:?}");
    }
}

/// `held for MS ms by HOLDER` as `held for ... ms by ...`: what stands in capitals is filled in.
fn placeholders_as_dots(line: &str) -> String {
    let is_placeholder = |word: &str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
    let words = line.split(' ').map(|word| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        match is_placeholder(bare) && !["WAIT"].contains(&bare) {
            true => word.replace(bare, "..."),
            false => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether both have the same fixed parts; the code's line may end with how many were left out.
fn is_same(line: &str, sentence: &str) -> bool {
    let bare = |text: &str| text.trim_end_matches("...").to_owned();
    bare(line) == bare(sentence)
}
