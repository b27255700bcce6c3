//! The protocol on a bare socket: commands encoded beforehand and replies told apart, so that the client costs little
//! beside the server it measures.

use std::io::ErrorKind;

use anyhow::{bail, Context, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Commands sent with `call`.
    pub(crate) commands: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Nil,
    Number(i64),
    /// Also a simple string.
    Bytes(Vec<u8>),
    List(Vec<Reply>),
}

/// State, value and number.
pub(crate) type Triple<'a> = (&'a [u8], Option<&'a [u8]>, i64);

/// A command as it goes over the wire.
pub(crate) fn command<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut frame = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        frame.extend(format!("${}\r\n", word.len()).as_bytes());
        frame.extend(word);
        frame.extend(b"\r\n");
    }
    frame
}

/// The same for a command whose words hold no space.
pub(crate) fn line(words: &str) -> Vec<u8> {
    command(&words.split(' ').collect::<Vec<_>>())
}

impl Connection {
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("cannot connect to the server")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new(), commands: 0 })
    }

    pub(crate) async fn call(&mut self, frame: &[u8]) -> Result<Reply> {
        self.send(frame).await?;
        self.receive().await
    }

    pub(crate) async fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.commands += 1;
        self.write(frame).await
    }

    /// Writes what may be many commands, and counts none.
    pub(crate) async fn write(&mut self, frames: &[u8]) -> Result<()> {
        self.stream.write_all(frames).await.context("the server closed the connection")
    }

    pub(crate) async fn receive(&mut self) -> Result<Reply> {
        loop {
            if let Some((reply, length)) = parse(&self.buffer)? {
                self.buffer.drain(..length);
                return Ok(reply);
            }
            self.fill().await?;
        }
    }

    /// One line, without its end: memcached's protocol.
    pub(crate) async fn receive_line(&mut self) -> Result<String> {
        loop {
            if let Some((text, length)) = text_line(&self.buffer)? {
                let text = text.to_owned();
                self.buffer.drain(..length);
                return Ok(text);
            }
            self.fill().await?;
        }
    }

    /// So many bytes and the end of their line: a value of memcached's.
    pub(crate) async fn receive_block(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < length + 2 {
            self.fill().await?;
        }
        let mut block: Vec<u8> = self.buffer.drain(..length + 2).collect();
        block.truncate(length);
        Ok(block)
    }

    /// So many bytes of a reply whose length is known. They are not looked at beyond the first, which tells an error.
    pub(crate) async fn skip(&mut self, mut bytes: usize) -> Result<()> {
        let mut first = true;
        while bytes > 0 {
            self.stream.readable().await?;
            let mut scratch = [0; SCRATCH];
            let room = scratch.get_mut(..bytes.min(SCRATCH)).unwrap_or_default();
            match self.stream.try_read(room) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(_) if first && scratch.starts_with(b"-") => {
                    bail!(
                        "the server answered {}",
                        String::from_utf8_lossy(&scratch).lines().next().unwrap_or_default()
                    )
                }
                Ok(count) => {
                    first = false;
                    bytes = bytes.saturating_sub(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The length of the reply to this command, which should be the same each time.
    pub(crate) async fn length_of_reply(&mut self, frame: &[u8]) -> Result<usize> {
        self.write(frame).await?;
        loop {
            if let Some((_, length)) = parse(&self.buffer)? {
                self.buffer.drain(..length);
                return Ok(length);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        loop {
            self.stream.readable().await?;
            let mut scratch = [0; SCRATCH];
            match self.stream.try_read(&mut scratch) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(count) => {
                    self.buffer.extend(scratch.iter().take(count));
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Nil => String::new(),
            Self::Number(number) => number.to_string(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::List(list) => list.iter().map(Self::text).collect::<Vec<_>>().join(" "),
        }
    }

    /// What Corral answers: state, value and number.
    pub(crate) fn triple(&self) -> Result<Triple<'_>> {
        if let Self::List(list) = self {
            if let [Self::Bytes(state), value, Self::Number(number)] = list.as_slice() {
                match value {
                    Self::Bytes(value) => return Ok((state, Some(value), *number)),
                    Self::Nil => return Ok((state, None, *number)),
                    _ => {}
                }
            }
        }
        bail!("not a triple: {}", self.text())
    }

    /// Its state and number.
    pub(crate) fn state(&self) -> Result<(&[u8], i64)> {
        self.triple().map(|(state, _, number)| (state, number))
    }

    pub(crate) fn is_nil(&self) -> bool {
        *self == Self::Nil
    }
}

fn text_line(bytes: &[u8]) -> Result<Option<(&str, usize)>> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return Ok(None);
    };
    Ok(Some((std::str::from_utf8(bytes.get(..end).unwrap_or_default())?, end + 2)))
}

/// The first reply and its length, once all of it is there.
fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>> {
    let Some((head, mut length)) = text_line(bytes.get(..bytes.len().min(HEAD)).unwrap_or_default())? else {
        return Ok(None);
    };
    let (kind, rest) = head.split_at_checked(1).context("an empty reply")?;
    let reply = match kind {
        "+" => Reply::Bytes(rest.into()),
        ":" => Reply::Number(rest.parse()?),
        "$" | "*" if rest == "-1" => Reply::Nil,
        "$" => {
            let size: usize = rest.parse()?;
            let Some(value) = bytes.get(length..length + size) else { return Ok(None) };
            length += size + 2;
            if bytes.len() < length {
                return Ok(None);
            }
            Reply::Bytes(value.to_vec())
        }
        "*" => {
            let mut list = Vec::new();
            for _ in 0..rest.parse::<usize>()? {
                let Some((reply, size)) = parse(bytes.get(length..).unwrap_or_default())? else { return Ok(None) };
                list.push(reply);
                length += size;
            }
            Reply::List(list)
        }
        "-" => bail!("the server answered {rest}"),
        _ => bail!("not a reply: {head}"),
    };
    Ok(Some((reply, length)))
}

const SCRATCH: usize = 16 * 1024;
/// Longer than any first line of a reply; a value is not searched for the end of one.
const HEAD: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_once_all_of_it_is_there() -> Result<()> {
        let whole = b"*3\r\n$3\r\nHIT\r\n$5\r\nhello\r\n:-1\r\n";
        for end in 0..whole.len() {
            assert_eq!(parse(whole.get(..end).unwrap_or_default())?, None);
        }
        let list = vec![Reply::Bytes(b"HIT".to_vec()), Reply::Bytes(b"hello".to_vec()), Reply::Number(-1)];
        assert_eq!(parse(whole)?, Some((Reply::List(list), whole.len())));
        Ok(())
    }

    #[test]
    fn nothing_and_errors_are_told_apart() {
        assert!(matches!(parse(b"$-1\r\n+OK\r\n"), Ok(Some((Reply::Nil, 5)))));
        assert!(parse(b"-ERR no\r\n").is_err());
    }
}
