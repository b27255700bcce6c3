//! Replies with placeholders, compared with what came.

use std::collections::BTreeMap;

/// What a story has bound so far, by name.
pub type Names = BTreeMap<String, u64>;

/// The names with those that the pattern binds, if the text fits it.
pub fn bind(pattern: &str, text: &str, names: &Names) -> Result<Option<Names>, String> {
    let pieces = pieces(pattern)?;
    Ok(find(&pieces, text, names))
}

/// Whether the text fits a pattern in which nothing but `...` has a meaning.
pub fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces: Vec<Piece> =
        pattern.split("...").flat_map(|part| [Piece::Literal(part), Piece::Anything]).collect();
    pieces.pop();
    find(&pieces, text, &Names::new()).is_some()
}

/// The name of the largest token of all, which outlives a second use of its own name. No story can use it.
const LARGEST: &str = "";

enum Piece<'a> {
    Literal(&'a str),
    Anything,
    Token(&'a str),
    Bound(&'a str),
    Number { low: u64, high: u64 },
}

fn pieces(pattern: &str) -> Result<Vec<Piece<'_>>, String> {
    let (mut pieces, mut rest) = (Vec::new(), pattern);
    while !rest.is_empty() {
        let next = [rest.find("..."), rest.find('<')].into_iter().flatten().min().unwrap_or(rest.len());
        if next > 0 {
            pieces.push(Piece::Literal(&rest[..next]));
            rest = &rest[next..];
        } else if let Some(after) = rest.strip_prefix("...") {
            pieces.push(Piece::Anything);
            rest = after;
        } else {
            let (placeholder, after) =
                rest[1..].split_once('>').ok_or_else(|| format!("{pattern}: a < without its >"))?;
            pieces.push(piece(placeholder).ok_or_else(|| format!("<{placeholder}> is no placeholder"))?);
            rest = after;
        }
    }
    Ok(pieces)
}

fn piece(placeholder: &str) -> Option<Piece<'_>> {
    match placeholder.split_once(' ') {
        None => Some(Piece::Bound(placeholder)),
        Some(("token", name)) => Some(Piece::Token(name)),
        Some(("ms", range)) => {
            let (low, high) = range.split_once("..")?;
            let high = if high.is_empty() { u64::MAX } else { high.parse().ok()? };
            Some(Piece::Number { low: low.parse().ok()?, high })
        }
        Some(_) => None,
    }
}

fn find(pieces: &[Piece], text: &str, names: &Names) -> Option<Names> {
    let Some((first, rest)) = pieces.split_first() else {
        return text.is_empty().then(|| names.clone());
    };
    match first {
        Piece::Literal(literal) => find(rest, text.strip_prefix(literal)?, names),
        Piece::Bound(name) => find(rest, text.strip_prefix(&names.get(*name)?.to_string())?, names),
        Piece::Anything => {
            let mut starts = text.char_indices().map(|(index, _)| index).chain([text.len()]);
            starts.find_map(|start| find(rest, &text[start..], names))
        }
        Piece::Number { low, high } => {
            let (number, after) = number(text)?;
            (*low..=*high).contains(&number).then(|| find(rest, after, names))?
        }
        Piece::Token(name) => {
            let (token, after) = number(text)?;
            // Tokens only grow: a new one is larger than every one that was seen before.
            let is_known = names.get(*name) == Some(&token);
            let grows = names.values().all(|known| *known < token);
            if !(is_known || grows) || token >= 1 << 53 {
                return None;
            }
            let mut names = names.clone();
            if grows {
                names.insert(LARGEST.to_owned(), token);
            }
            names.insert((*name).to_owned(), token);
            find(rest, after, &names)
        }
    }
}

fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_fits_dots_also_in_the_middle() {
        assert!(fits("-ERR ...LEASE...", "-ERR no value for LEASE"));
        assert!(fits("[... \"waiters\" 2 ...]", "[\"state\" \"fresh\" \"waiters\" 2 \"x\" 1]"));
        assert!(!fits("-ERR ...LEASE", "-ERR LEASE is missing") && !fits("OK", "OK!"));
        assert!(fits("...<corral> version ...", "1:M # <corral> version 1"));
    }

    #[test]
    fn numbers_have_bounds() {
        let is_bound = |pattern, text| bind(pattern, text, &Names::new()).unwrap().is_some();
        assert!(is_bound("[HIT \"v\" <ms 1..5>]", "[HIT \"v\" 5]") && is_bound("<ms 3..>", "3000"));
        assert!(!is_bound("<ms 1..5>", "6") && !is_bound("<ms 1..5>", "-1") && !is_bound("<ms 1..5>", ""));
    }

    #[test]
    fn a_new_token_is_larger_than_every_one_before() {
        let seen = |token| Names::from([("t".to_owned(), token)]);
        assert_eq!(bind("<token u>", "8", &seen(7)).unwrap().unwrap()["u"], 8);
        assert_eq!(bind("<token u>", "7", &seen(7)).unwrap(), None);
        assert_eq!(bind("<token t>", "7", &seen(7)).unwrap().unwrap()["t"], 7);
        assert_eq!(bind("<token u>", "6", &seen(7)).unwrap(), None);
        assert_eq!(bind("<t>", "8", &seen(7)).unwrap(), None);
        assert!(bind("<t>", "7", &seen(7)).unwrap().is_some());
    }

    #[test]
    fn a_placeholder_that_is_none_is_an_error() {
        assert!(bind("<tokens t>", "8", &Names::new()).is_err() && bind("<token t", "8", &Names::new()).is_err());
    }
}
