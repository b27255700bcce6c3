//! Replies as stories write them.

use crate::Reply;

/// The states of triples. Whether they come as status or as bulk strings is one story's concern, not each one's.
const STATES: [&str; 8] = ["HIT", "STALE", "REFRESH", "LOCK", "WAIT", "PASS", "FAIL", "MISS"];

pub fn shown(reply: &Reply) -> String {
    match reply {
        Reply::List(parts) => {
            let mut words: Vec<String> = parts.iter().map(shown).collect();
            if let (Some(state), [_, _, Reply::Number(_)]) = (parts.first().and_then(state), parts.as_slice()) {
                words[0] = state;
            }
            format!("[{}]", words.join(" "))
        }
        Reply::Map(pairs) => {
            let pairs: Vec<String> =
                pairs.iter().map(|(name, value)| format!("{}: {}", shown(name), shown(value))).collect();
            format!("{{{}}}", pairs.join(" "))
        }
        single => format!("{single:?}"),
    }
}

fn state(word: &Reply) -> Option<String> {
    let word = match word {
        Reply::Word(word) => word.clone(),
        Reply::Text(text) => String::from_utf8_lossy(text).into_owned(),
        _ => return None,
    };
    STATES.contains(&word.as_str()).then_some(word)
}
