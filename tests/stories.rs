//! The stories in `stories/`, each file on a server of its own. `corral_testkit::story` explains their form; the node
//! plays the same files with a clock of its own (`crates/core/tests/stories`).

use crate::harness::story::{ServerStage, Told};

fn tell(file: &str, text: &str) {
    let told = Told::of(text, &mut ServerStage::start()).unwrap_or_else(|why| panic!("stories/{file}: {why}"));
    for (story, need) in &told.skipped {
        eprintln!("skipped in part: {story} needs {need}");
    }
    let Told { played, skipped, wrong } = told;
    eprintln!("{file}: {played} stories, {} skipped", skipped.len());
    let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
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
