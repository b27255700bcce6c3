//! A table of calls: stories of one scene whose `each` is the one reply that every call above must have.

use super::{read, words};

/// A call, and the pattern of its reply, in which nothing but `...` has a meaning.
#[derive(Debug)]
pub struct Row {
    /// Its line in the file.
    pub number: usize,
    pub call: String,
    pub words: Vec<Vec<u8>>,
    pub expected: String,
}

/// The calls of all stories; `placeholder` says what stands for `<…>`. An error names the story or the line.
pub fn rows(text: &str, placeholder: impl Fn(&str) -> Result<Vec<u8>, String>) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for story in read(text)? {
        let [scene] = story.scenes.as_slice() else { return Err(format!("{}: not one scene", story.name)) };
        let expected = match scene.expected.as_slice() {
            [only] => only.text.strip_prefix("each: "),
            _ => None,
        };
        let expected = expected.ok_or_else(|| format!("{}: not one reply to each call", story.name))?;
        for line in &scene.input {
            let at = |why: &str| format!("line {}: {}: {why}", line.number, line.text);
            let call = line.text.strip_prefix("a: ").ok_or_else(|| at("not a call of a's"))?;
            let words = words(call, &placeholder).map_err(|why| at(&why))?;
            rows.push(Row { number: line.number, call: call.to_owned(), words, expected: expected.to_owned() });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_the_reply_of_its_story() {
        let rows = rows("story s\na: X <t>\na: Y\n----\neach: -ERR ...", |name| Ok(name.as_bytes().to_vec())).unwrap();
        let calls: Vec<(usize, &str, &str)> =
            rows.iter().map(|row| (row.number, row.call.as_str(), row.expected.as_str())).collect();
        assert_eq!(calls, [(2, "X <t>", "-ERR ..."), (3, "Y", "-ERR ...")]);
        assert_eq!(rows[0].words, [b"X".to_vec(), b"t".to_vec()]);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for text in ["story s\na: X\n----\na: 1", "story s\nb: X\n----\neach: 1", "story s\na: X <t\n----\neach: 1"] {
            assert!(rows(text, |_| Ok(Vec::new())).is_err(), "{text}");
        }
    }
}
