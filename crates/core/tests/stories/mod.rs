//! The stories of `tests/stories/`, played on the node: the same text as on real servers, in a world without one, with a
//! clock of its own.

use corral_testkit::story::Told;

use stage::NodeStage;

// What a client says and is told: the stage, and who is connected to it.
mod connection;
mod stage;

// The words that the stage knows, and whether the server would let them through.
mod commands;

// CACHE.* as the module's own files have them, around the same node.
mod cache;
mod described;

// Redis's own words, as far as stories use them.
mod config;
mod keyspace;
mod script;
mod session;

// Calls that are refused.
mod bad_input;

// What comes unasked: keyspace events, messages to listeners, client-side caching, WATCH.
mod signals;

/// What stories take that this stage does not have, and why.
const NOT_OFFERED: [(&str, &str); 1] = [("scripts", "there is no Lua, but for one call")];

#[test]
fn every_story_goes_on_the_node_as_it_is_told() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/stories");
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut stage = NodeStage::new();
    let (mut played, mut skipped, mut wrong) = (0, 0, Vec::new());
    for file in &files {
        let name = file.file_name().unwrap().to_string_lossy();
        let text = std::fs::read_to_string(file).unwrap();
        let told = Told::of(&text, &mut stage).unwrap_or_else(|why| panic!("{name}: {why}"));
        played += told.played;
        for (story, need) in &told.skipped {
            let why = NOT_OFFERED.iter().find(|(what, _)| what == need).map(|(_, why)| why);
            let why = why.unwrap_or_else(|| panic!("{name}: {story} needs {need}, which nobody has heard of"));
            println!("{name}: skipped {story}, which needs {need}: {why}");
            skipped += 1;
        }
        wrong.extend(told.wrong.iter().map(|failure| format!("{name}: {failure}")));
    }
    println!("{played} stories on the node, {skipped} skipped");
    assert!(wrong.is_empty(), "{} of {played} stories went otherwise:\n{}", wrong.len(), wrong.join("\n"));
    assert!(played > 0, "no stories in {directory}");
}

#[test]
fn what_goes_otherwise_or_is_not_offered_is_told() {
    let text = "story of_another_answer\na: CACHE.GETORLOCK page\n----\na: [HIT ...]\n\n\
                story of_an_answer_unasked\na: CACHE.GETORLOCK page\nb: CACHE.GETORLOCK page BLOCK 50\nwait 60\n----\n\
                a: [LOCK nil <token t>]\nb: parked\n\n\
                story of_a_word_unheard_of\na: ZADD page 1 x\n----\na: 1\n\n\
                story of_a_need\nneeds a cluster\na: PING\n----\na: PONG\n";
    let told = Told::of(text, &mut NodeStage::new()).unwrap();
    let got: Vec<&str> = told.wrong.iter().map(|failure| failure.got.as_str()).collect();
    assert!(got[0].starts_with("[LOCK nil 17"), "{got:?}");
    assert_eq!(got[1..], ["[WAIT nil 9950]", "-ERR unknown command 'ZADD'"]);
    assert_eq!(told.skipped, [("of_a_need".to_owned(), "a cluster".to_owned())]);
}
