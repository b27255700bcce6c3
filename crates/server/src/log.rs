//! The server's log.

use std::ffi::{CStr, CString};

pub const WARNING: &CStr = c"warning";
pub const NOTICE: &CStr = c"notice";

/// Writes one line.
pub fn log(level: &CStr, line: &CStr) {
    // A null context: the line is prefixed with "module" rather than the module's name, and it can be written from
    // anywhere. The format is fixed: a message as the format would let client bytes with `%` crash the server.
    call!(RedisModule_Log(std::ptr::null_mut(), level.as_ptr(), c"<corral> %s".as_ptr(), line.as_ptr()));
}

/// Writes one line of any text, made fit for the log.
pub fn write(level: &CStr, text: &str) {
    if let Ok(line) = CString::new(fit(text)) {
        log(level, &line);
    }
}

/// The server cuts at 1024 bytes; a NUL would end the line, other control characters would forge lines.
fn fit(text: &str) -> String {
    const LIMIT_BYTES: usize = 900;
    let mut line = String::with_capacity(text.len().min(LIMIT_BYTES));
    for character in text.chars().map(|character| if character.is_control() { ' ' } else { character }) {
        if line.len() + character.len_utf8() > LIMIT_BYTES {
            break;
        }
        line.push(character);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn a_line_cannot_forge_another_nor_be_cut_by_the_server() {
        assert_eq!(fit("a\r\n\0b %s"), "a   b %s");
        assert_eq!(fit(&"ü".repeat(1000)).len(), 900);
    }
}
