//! Replies, in a form that tests can compare and print.

#[derive(Clone, PartialEq)]
pub enum Reply {
    Nil,
    /// A status word.
    Word(String),
    Text(Vec<u8>),
    Number(i64),
    List(Vec<Reply>),
    /// In RESP3; a flat list in RESP2.
    Map(Vec<(Reply, Reply)>),
    /// Code and sentence.
    Error(String),
    /// The server closed the connection.
    Closed,
}

/// `[state, value, number]`.
#[derive(Clone, PartialEq)]
pub struct Triple {
    pub state: String,
    pub value: Option<Vec<u8>>,
    pub number: i64,
}

impl Reply {
    /// The triple that every answer to GETORLOCK and GET is.
    pub fn triple(&self) -> Triple {
        let Reply::List(parts) = self else { panic!("not a triple: {self:?}") };
        // A bulk string: some clients hand status replies over as nothing but "true".
        let [Reply::Text(state), value, Reply::Number(number)] = parts.as_slice() else {
            panic!("not a triple: {self:?}")
        };
        let state = String::from_utf8_lossy(state).into_owned();
        let value = match value {
            Reply::Nil => None,
            Reply::Text(text) => Some(text.clone()),
            other => panic!("not a value: {other:?}"),
        };
        Triple { state, value, number: *number }
    }

    pub fn number(&self) -> i64 {
        let Reply::Number(number) = self else { panic!("not a number: {self:?}") };
        *number
    }

    pub fn text(&self) -> String {
        match self {
            Reply::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Reply::Word(word) => word.clone(),
            other => panic!("not a text: {other:?}"),
        }
    }

    pub fn list(&self) -> &[Reply] {
        let Reply::List(list) = self else { panic!("not a list: {self:?}") };
        list
    }

    /// A field of a flat map.
    pub fn field(&self, name: &str) -> &Reply {
        let found = self.list().chunks(2).find(|pair| pair[0].text() == name);
        &found.unwrap_or_else(|| panic!("no field {name} in {self:?}"))[1]
    }

    /// The sentence of an error.
    pub fn error(&self) -> &str {
        let Reply::Error(sentence) = self else { panic!("not an error: {self:?}") };
        sentence
    }

    pub fn is_ok(&self) -> bool {
        *self == Reply::Word("OK".to_owned())
    }

    pub fn is_nil(&self) -> bool {
        *self == Reply::Nil
    }
}

impl Triple {
    /// The value as text; empty without one.
    pub fn text(&self) -> String {
        self.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }

    /// The token of a LOCK or REFRESH.
    pub fn token(&self) -> i64 {
        assert!(matches!(self.state.as_str(), "LOCK" | "REFRESH"), "no token in {self:?}");
        self.number
    }

    /// Whether it is this state with this value.
    pub fn is(&self, state: &str, value: Option<&str>) -> bool {
        self.state == state && self.value.as_deref() == value.map(str::as_bytes)
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reply::Nil => write!(out, "nil"),
            Reply::Word(word) => write!(out, "{word}"),
            Reply::Text(text) => write!(out, "{:?}", String::from_utf8_lossy(text)),
            Reply::Number(number) => write!(out, "{number}"),
            Reply::List(parts) => out.debug_list().entries(parts).finish(),
            Reply::Map(pairs) => out.debug_map().entries(pairs.iter().map(|(name, value)| (name, value))).finish(),
            Reply::Error(sentence) => write!(out, "-{sentence}"),
            Reply::Closed => write!(out, "closed"),
        }
    }
}

impl std::fmt::Debug for Triple {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.value {
            Some(_) => write!(out, "[{} {:?} {}]", self.state, self.text(), self.number),
            None => write!(out, "[{} nil {}]", self.state, self.number),
        }
    }
}
