//! One connection, which can be sent a command and read later: what a parked client is.

use std::cell::OnceCell;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};

use redis::Value;

use crate::{eventually, Reply, Triple, DEADLINE};

pub struct Client {
    /// One file per connection, read and written: thousands of these are held at once.
    stream: LineByLine,
    parser: redis::Parser,
    id: OnceCell<i64>,
}

impl Client {
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).expect("the server accepts connections")
    }

    /// As [`Client::connect`], for a server that may not be there yet.
    pub fn try_connect(port: u16) -> std::io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        // For the same reason, small buffers.
        let stream = LineByLine(BufReader::with_capacity(1024, stream));
        Ok(Self { stream, parser: redis::Parser::new(), id: OnceCell::new() })
    }

    /// Runs one command, its words separated by blanks.
    pub fn run(&mut self, line: &str) -> Reply {
        self.send(line);
        self.read()
    }

    /// Runs one command of any bytes.
    pub fn call(&mut self, words: &[&[u8]]) -> Reply {
        self.send_bytes(words);
        self.read()
    }

    /// Runs a GETORLOCK or GET and returns its triple.
    pub fn ask(&mut self, line: &str) -> Triple {
        self.run(line).triple()
    }

    /// As [`Client::run`], on a connection that may be closed already.
    pub fn attempt(&mut self, line: &str) -> Reply {
        let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        match self.try_send_raw(&packed(&words)) {
            Ok(()) => self.read(),
            Err(_) => Reply::Closed,
        }
    }

    /// Asks until the answer has this state: how time passes in a test. With a CACHE.GET, it changes nothing.
    pub fn until(&mut self, line: &str, state: &str) -> Triple {
        let mut answer = self.ask(line);
        eventually(&format!("{line} answers {state}"), || {
            let reached = answer.state == state;
            if !reached {
                answer = self.ask(line);
            }
            reached
        });
        answer
    }

    /// Sends one command without waiting for its reply: the way to be parked.
    pub fn send(&mut self, line: &str) {
        let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        self.send_raw(&packed(&words));
    }

    /// As [`Client::send`], for words of any bytes.
    pub fn send_bytes(&mut self, words: &[&[u8]]) {
        self.send_raw(&packed(words));
    }

    /// As [`Client::send`], for words with blanks in them.
    pub fn send_words(&mut self, words: &[String]) {
        let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
        self.send_raw(&packed(&words));
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.try_send_raw(bytes).unwrap();
    }

    /// The same, on a connection that may be closed already.
    pub fn try_send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.0.get_mut().write_all(bytes)
    }

    /// Several commands in one packet, which the server runs in one turn of its event loop.
    pub fn send_together(&mut self, lines: &[&str]) {
        let packet: Vec<u8> = lines
            .iter()
            .flat_map(|line| packed(&line.split_whitespace().map(str::as_bytes).collect::<Vec<_>>()))
            .collect();
        self.send_raw(&packet);
    }

    /// The next reply.
    pub fn read(&mut self) -> Reply {
        match self.parser.parse_value(&mut self.stream) {
            Ok(value) => value.into(),
            Err(error) if error.is_timeout() => panic!("no reply within {DEADLINE:?}"),
            Err(error) if error.is_io_error() || error.is_connection_dropped() => Reply::Closed,
            Err(error) => panic!("not a reply: {error}"),
        }
    }

    /// Whether a reply, or the end of the connection, has arrived.
    pub fn has_reply(&self) -> bool {
        if !self.stream.0.buffer().is_empty() {
            return true;
        }
        let stream = self.stream.0.get_ref();
        stream.set_nonblocking(true).unwrap();
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// A field of INFO, asked on this connection.
    pub fn info(&mut self, field: &str) -> i64 {
        let info = self.run("INFO everything").text();
        let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {field} in INFO")).trim().parse().unwrap()
    }

    /// The connection's id. Asked before the client is parked.
    pub fn id(&mut self) -> i64 {
        if let Some(id) = self.id.get() {
            return *id;
        }
        let id = self.run("CLIENT ID").number();
        *self.id.get_or_init(|| id)
    }

    /// Has the server write its AOF anew, and waits until it has.
    pub fn rewrite_the_aof(&mut self) {
        self.run("BGREWRITEAOF");
        eventually("the AOF is rewritten", || {
            let info = self.run("INFO persistence").text();
            ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0", "aof_last_bgrewrite_status:ok"]
                .iter()
                .all(|line| info.contains(line))
        });
    }

    /// Closes the connection.
    pub fn hang_up(self) {
        let _ = self.stream.0.get_ref().shutdown(Shutdown::Both);
    }
}

/// Gives no more than one line at a time. A reply ends with a line, so the parser, which keeps what it was given, is never
/// given part of the next one: whether that has arrived can be seen.
struct LineByLine(BufReader<TcpStream>);

impl Read for LineByLine {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        let buffered = self.0.fill_buf()?;
        let line = buffered.iter().position(|byte| *byte == b'\n').map_or(buffered.len(), |end| end + 1);
        let count = line.min(room.len());
        room[..count].copy_from_slice(&buffered[..count]);
        self.0.consume(count);
        Ok(count)
    }
}

fn packed(words: &[&[u8]]) -> Vec<u8> {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command.get_packed_command()
}

/// As it came over the wire.
impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        match value {
            Value::Nil => Reply::Nil,
            Value::Int(number) => Reply::Number(number),
            Value::BulkString(bytes) => Reply::Text(bytes),
            Value::Array(parts) => Reply::List(parts.into_iter().map(Reply::from).collect()),
            Value::Map(pairs) => {
                Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::from(name), Reply::from(value))).collect())
            }
            Value::SimpleString(word) => Reply::Word(word),
            Value::Okay => Reply::Word("OK".to_owned()),
            // Out of band, in RESP3: its kind, then what it says.
            Value::Push { kind, data } => {
                let kind = Reply::Word(kind.to_string());
                Reply::List(std::iter::once(kind).chain(data.into_iter().map(Reply::from)).collect())
            }
            Value::ServerError(error) => {
                Reply::Error(format!("{} {}", error.code(), error.details().unwrap_or_default()))
            }
            other => panic!("no such reply is known: {other:?}"),
        }
    }
}
