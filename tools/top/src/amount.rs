//! Numbers, times and foreign bytes as people read them.

/// 1234567 as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A rate: with a decimal only while it is small.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 10.0 {
        format!("{per_second:.1}")
    } else {
        count(per_second.round() as u64)
    }
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Milliseconds in the unit that keeps the number short: `0.12 ms`, `3 ms`, `480 ms`, `2.3 s`, `4 min 10 s`.
pub(crate) fn time(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 && ms.fract() > 0.0 => format!("{ms:.2} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms if ms < 60_000.0 => format!("{:.1} s", ms / 1_000.0),
        ms => {
            let seconds = (ms / 1_000.0) as u64;
            match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
                (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
                (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
                (days, hours, _, _) => format!("{days} d {hours} h"),
            }
        }
    }
}

/// A key or a name. Its bytes are anybody's: what could steer the terminal is shown escaped.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                shown.extend(character.escape_default());
            } else {
                shown.push(character);
            }
        }
        shown.push_str(&chunk.invalid().escape_ascii().to_string());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 12, 999, 1_000, 1_234_567].map(count), ["0", "12", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn times_keep_two_digits_or_so() {
        let times = [0.0, 0.123, 3.0, 9.99, 10.0, 999.4, 1_500.0, 250_000.0, 7_260_000.0, 180_000_000.0].map(time);
        assert_eq!(
            times,
            ["0 ms", "0.12 ms", "3 ms", "9.99 ms", "10 ms", "999 ms", "1.5 s", "4 min 10 s", "2 h 1 min", "2 d 2 h"]
        );
    }

    #[test]
    fn bytes_cannot_steer_the_terminal() {
        assert_eq!(text(b"a\x1b[31m\r\n\xff"), "a\\u{1b}[31m\\r\\n\\xff");
        assert_eq!(text("größe:1".as_bytes()), "größe:1");
    }
}
