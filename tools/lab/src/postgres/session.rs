//! PostgreSQL's protocol on a bare socket, version 3: the simple query, and the columns of the rows that come back.

use anyhow::{bail, Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection. It runs one query at a time.
pub(crate) struct Session {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Text by column; nothing for NULL.
pub(crate) type Row = Vec<Option<String>>;

impl Session {
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("cannot connect to PostgreSQL")?;
        stream.set_nodelay(true)?;
        let mut session = Self { stream, buffer: Vec::new() };
        let mut hello = VERSION.to_be_bytes().to_vec();
        hello.extend(b"user\0lab\0database\0postgres\0\0");
        session.stream.write_all(&with_length(&hello)?).await?;
        session.rows().await?;
        Ok(session)
    }

    /// Runs a text of one query or more, and gives back all their rows.
    pub(crate) async fn query(&mut self, text: &str) -> Result<Vec<Row>> {
        let mut frame = b"Q".to_vec();
        frame.extend(with_length(&[text.as_bytes(), b"\0"].concat())?);
        self.stream.write_all(&frame).await.context("PostgreSQL closed the connection")?;
        self.rows().await
    }

    /// Reads until it is ready for the next query.
    async fn rows(&mut self) -> Result<Vec<Row>> {
        let (mut rows, mut error) = (Vec::new(), None);
        loop {
            let (kind, body) = self.message().await?;
            match kind {
                b'Z' => break,
                b'D' => rows.push(row(&body).context("PostgreSQL sent half a row")?),
                b'E' => error = Some(sentence(&body)),
                // It wants a password: not a server of ours.
                b'R' if body != [0; 4] => bail!("PostgreSQL asks who we are"),
                _ => {}
            }
            // One that refuses a connection sends nothing after its error.
            if let Some(error) = error.as_ref().filter(|error| error.starts_with("FATAL")) {
                bail!("PostgreSQL: {error}");
            }
        }
        match error {
            Some(error) => bail!("PostgreSQL: {error}"),
            None => Ok(rows),
        }
    }

    async fn message(&mut self) -> Result<(u8, Vec<u8>)> {
        loop {
            if let Some((kind, body, length)) = whole_message(&self.buffer) {
                self.buffer.drain(..length);
                return Ok((kind, body));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("PostgreSQL closed the connection");
            }
        }
    }
}

/// Kind, body, and how many bytes that was, once all of it is there.
fn whole_message(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (kind, rest) = bytes.split_first()?;
    let (length, _) = rest.split_first_chunk()?;
    let length = u32::from_be_bytes(*length) as usize;
    Some((*kind, rest.get(4..length)?.to_vec(), length + 1))
}

fn row(body: &[u8]) -> Option<Row> {
    let (columns, mut rest) = body.split_first_chunk()?;
    let mut row = Row::new();
    for _ in 0..u16::from_be_bytes(*columns) {
        let (length, after) = rest.split_first_chunk()?;
        rest = after;
        row.push(match usize::try_from(i32::from_be_bytes(*length)) {
            Err(_) => None,
            Ok(length) => {
                let (text, after) = rest.split_at_checked(length)?;
                rest = after;
                Some(String::from_utf8_lossy(text).into_owned())
            }
        });
    }
    Some(row)
}

/// Its severity and its words.
fn sentence(body: &[u8]) -> String {
    let fields = || body.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let field = |kind| fields().find_map(|field| Some(field.strip_prefix(kind)?.to_owned())).unwrap_or_default();
    format!("{}: {}", field('V'), field('M'))
}

fn with_length(body: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(body.len() + 4).context("too long for PostgreSQL")?;
    Ok([&length.to_be_bytes(), body].concat())
}

const VERSION: u32 = 3 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_once_all_of_it_is_there() {
        let whole = b"D\0\0\0\x11\0\x02\0\0\0\x03abc\xff\xff\xff\xff";
        for end in 0..whole.len() {
            assert_eq!(whole_message(whole.get(..end).unwrap_or_default()), None);
        }
        let message = whole_message(whole);
        assert_eq!(message.as_ref().map(|(kind, _, length)| (*kind, *length)), Some((b'D', whole.len())));
        let body = message.map(|(_, body, _)| body).unwrap_or_default();
        assert_eq!(row(&body), Some(vec![Some("abc".to_owned()), None]));
    }

    #[test]
    fn an_error_is_said_in_its_own_words() {
        assert_eq!(
            sentence(b"SFEHLER\0VFATAL\0C53300\0Msorry, too many clients already\0\0"),
            "FATAL: sorry, too many clients already"
        );
    }
}
