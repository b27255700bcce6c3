//! Runs the stories in `testdata/`. Each file opens with the part of the contract it is about.
//!
//! `story NAME` begins with a missing key and the clock at 0, `then` goes on. Input, `----`, what came of it.
//! `REWRITE=1 cargo test -p corral-lease stories` writes down what happens now instead of comparing; what it wrote is
//! to be read against the contract before it is believed.

use std::collections::BTreeSet;

use datadriven::{walk, TestCase};

use crate::script::Story;

#[test]
fn every_story_ends_as_it_is_told() {
    let mut names = BTreeSet::new();
    let mut files = 0;
    walk("tests/testdata", |file| {
        files += 1;
        let mut story = None;
        file.run(|scene: &mut TestCase| {
            match scene.directive.as_str() {
                "story" => {
                    let name = scene.args.drain().map(|(name, _)| name).next().ok_or("a story needs a name")?;
                    if !names.insert(name.clone()) {
                        return Err(format!("there is a story {name} already"));
                    }
                    story = Some(Story::new());
                }
                "then" => {}
                other => return Err(format!("{other}: a scene begins with `story NAME` or `then`")),
            }
            story.as_mut().ok_or("no story to go on with")?.play(&scene.input)
        });
    });
    assert!(files >= 10, "only {files} files of stories found");
}
