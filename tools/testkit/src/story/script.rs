//! The text of stories, taken apart.

/// A story, and where it stands.
#[derive(Debug, Clone)]
pub struct Story {
    pub name: String,
    /// What it takes to play it.
    pub needs: Vec<String>,
    pub scenes: Vec<Scene>,
}

#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// What is done.
    pub input: Vec<Line>,
    /// What comes of it.
    pub expected: Vec<Line>,
}

/// A line, and its number in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub number: usize,
    pub text: String,
}

/// The stories of a file. An error names the line.
pub fn read(text: &str) -> Result<Vec<Story>, String> {
    let mut stories: Vec<Story> = Vec::new();
    for scene in scenes(text) {
        let (first, rest) = scene.split_first().ok_or("a scene without lines")?;
        let at = |line: &Line, why: &str| format!("line {}: {}: {why}", line.number, line.text);
        let mut rest = rest;
        match first.text.split_once(' ') {
            Some(("story", name)) => {
                if stories.iter().any(|story| story.name == name) {
                    return Err(at(first, "there is a story of this name already"));
                }
                let needs: Vec<String> =
                    rest.iter().map_while(|line| line.text.strip_prefix("needs ").map(str::to_owned)).collect();
                rest = &rest[needs.len()..];
                stories.push(Story { name: name.to_owned(), needs, scenes: Vec::new() });
            }
            None if first.text == "then" => {}
            _ => return Err(at(first, "a scene begins with `story NAME` or `then`")),
        }
        let story = stories.last_mut().ok_or_else(|| at(first, "there is no story to go on with"))?;
        let middle =
            rest.iter().position(|line| line.text == "----").ok_or_else(|| at(first, "a scene has a line of ----"))?;
        let (input, expected) = (rest[..middle].to_vec(), rest[middle + 1..].to_vec());
        if input.is_empty() {
            return Err(at(first, "a scene in which nothing is done"));
        }
        story.scenes.push(Scene { input, expected });
    }
    Ok(stories)
}

/// Lines without comments, in groups that blank lines separate. A comment separates nothing.
fn scenes(text: &str) -> Vec<Vec<Line>> {
    let mut scenes = vec![Vec::new()];
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end();
        match line {
            "" => scenes.push(Vec::new()),
            comment if comment.starts_with('#') => {}
            text => {
                if let Some(scene) = scenes.last_mut() {
                    scene.push(Line { number: index + 1, text: text.to_owned() });
                }
            }
        }
    }
    scenes.retain(|scene| !scene.is_empty());
    scenes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# about\n\nstory one\nneeds cache.version\na: PING\n----\na: PONG\n\n# more\nthen\nwait 5\n----\n";

    #[test]
    fn a_story_has_a_name_needs_and_scenes() {
        let stories = read(TEXT).unwrap();
        let [one] = stories.as_slice() else { panic!("{stories:?}") };
        assert_eq!((one.name.as_str(), one.needs.as_slice()), ("one", ["cache.version".to_owned()].as_slice()));
        assert_eq!(one.scenes[0].input, [Line { number: 5, text: "a: PING".to_owned() }]);
        assert_eq!(one.scenes[0].expected, [Line { number: 7, text: "a: PONG".to_owned() }]);
        assert_eq!((one.scenes.len(), one.scenes[1].expected.len()), (2, 0));
    }

    #[test]
    fn what_is_no_story_is_refused_with_its_line() {
        for (text, why) in [
            ("then\nwait 5\n----", "line 1: then: there is no story"),
            ("story one\na: PING\n\n----", "line 1: story one: a scene has a line of ----"),
            ("one\n----", "line 1: one: a scene begins with"),
            ("story one\n----\na: PONG", "line 1: story one: a scene in which nothing is done"),
            ("story one\nwait 1\n----\n\nstory one\nwait 1\n----", "line 5: story one: there is a story of this name"),
        ] {
            assert!(read(text).unwrap_err().starts_with(why), "{:?}", read(text));
        }
    }
}
