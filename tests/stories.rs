//! The stories in `stories/`, each file on a server of its own. `corral_testkit::story` explains their form, and the
//! node plays them with a clock of its own.

use crate::harness::story::{check, play, read, ServerStage, Stage};

fn tell(file: &str, text: &str) {
    let stories = read(text).unwrap_or_else(|why| panic!("stories/{file}: {why}"));
    for story in &stories {
        check(story).unwrap_or_else(|why| panic!("stories/{file}, {}: {why}", story.name));
    }
    let mut stage = ServerStage::start();
    let (mut played, mut skipped, mut wrong) = (0, 0, Vec::new());
    for story in &stories {
        if let Some(need) = story.needs.iter().find(|need| !stage.offers(need)) {
            eprintln!("skipped in part: {} needs {need}", story.name);
            skipped += 1;
            continue;
        }
        played += 1;
        wrong.extend(play(story, &mut stage).map(|failure| failure.to_string()));
    }
    eprintln!("{file}: {played} stories, {skipped} skipped");
    assert!(wrong.is_empty(), "{} of {played} stories of {file} went otherwise:\n{}", wrong.len(), wrong.join("\n"));
}

/// A test for each file, under the file's name.
macro_rules! files {
    ($($name:ident)*) => {
        const FILES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                tell(stringify!($name), include_str!(concat!("stories/", stringify!($name), ".txt")));
            }
        )*
    };
}

files! {
    batch circuit decision failure groups handover limits notify once pass renew served signals tags versions void_fill windows
}

#[test]
fn every_file_of_stories_is_told() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stories");
    let mut found: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    let mut told: Vec<&str> = FILES.to_vec();
    told.sort_unstable();
    assert_eq!(found, told);
}
