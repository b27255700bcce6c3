//! A file of stories, told on a stage.

use super::{check, play, read, Failure, Stage};

/// How the stories of a file went.
#[derive(Debug, Default)]
pub struct Told {
    pub played: usize,
    /// Stories that take what the stage does not offer, and that.
    pub skipped: Vec<(String, String)>,
    pub wrong: Vec<Failure>,
}

impl Told {
    /// Plays every story whose needs the stage offers. An error is about the text: nothing is played then.
    pub fn of(text: &str, stage: &mut dyn Stage) -> Result<Self, String> {
        let stories = read(text)?;
        for story in &stories {
            check(story).map_err(|why| format!("{}: {why}", story.name))?;
        }
        let mut told = Self::default();
        for story in &stories {
            match story.needs.iter().find(|need| !stage.offers(need)) {
                Some(need) => told.skipped.push((story.name.clone(), need.clone())),
                None => {
                    told.played += 1;
                    told.wrong.extend(play(story, stage));
                }
            }
        }
        Ok(told)
    }
}
