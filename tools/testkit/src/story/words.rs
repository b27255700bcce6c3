//! A command's words, as stories write them.

/// The words of a line: blanks between them, unless in double quotes. `placeholder` says what stands for `<…>`.
pub fn words(line: &str, placeholder: impl Fn(&str) -> Result<Vec<u8>, String>) -> Result<Vec<Vec<u8>>, String> {
    let (mut words, mut rest) = (Vec::new(), line.trim());
    while !rest.is_empty() {
        let after = if let Some(quoted) = rest.strip_prefix('"') {
            let (word, after) = unquoted(quoted)?;
            words.push(word);
            after
        } else if let Some(open) = rest.strip_prefix('<') {
            let (name, after) = open.split_once('>').ok_or("a < without its >")?;
            words.push(placeholder(name)?);
            after
        } else {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            words.push(word.as_bytes().to_vec());
            after
        };
        rest = after.trim_start();
    }
    Ok(words)
}

/// The bytes up to the closing quote, and what follows it.
fn unquoted(text: &str) -> Result<(Vec<u8>, &str), String> {
    let mut bytes = Vec::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Ok((bytes, &text[index + 1..])),
            '\\' => match characters.next().map(|(_, escaped)| escaped) {
                Some('r') => bytes.push(b'\r'),
                Some('n') => bytes.push(b'\n'),
                Some('0') => bytes.push(0),
                Some(same @ ('"' | '\\')) => bytes.push(same as u8),
                Some('x') => {
                    let digits: String = characters.by_ref().take(2).map(|(_, digit)| digit).collect();
                    bytes
                        .push(u8::from_str_radix(&digits, 16).map_err(|_| format!("no hexadecimal digits: {digits}"))?);
                }
                other => return Err(format!("no such escape: {other:?}")),
            },
            plain => bytes.extend(plain.to_string().into_bytes()),
        }
    }
    Err("a quote is not closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(line: &str) -> Result<Vec<Vec<u8>>, String> {
        words(line, |name| Ok(format!("({name})").into_bytes()))
    }

    #[test]
    fn blanks_separate_words_and_quotes_keep_them() {
        assert_eq!(plain("SET  k \"a b\"").unwrap(), [b"SET".to_vec(), b"k".to_vec(), b"a b".to_vec()]);
        assert_eq!(plain("\"\" <t> <bytes 5>").unwrap(), [b"".to_vec(), b"(t)".to_vec(), b"(bytes 5)".to_vec()]);
        assert_eq!(plain(r#""\xff\r\n\0\"\\""#).unwrap(), [b"\xff\r\n\0\"\\".to_vec()]);
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        assert!(plain("\"open").is_err() && plain("<open").is_err() && plain(r#""\q""#).is_err());
    }
}
