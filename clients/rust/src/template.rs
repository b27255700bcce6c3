//! A key's pattern, `report:{day}:{kind}`, over the fields of a struct or over one plain argument.

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::{forward_to_deserialize_any, Serialize};
use serde_json::Value;

use crate::error::Error;

#[derive(Debug)]
pub(crate) struct Template {
    text: String,
    /// The text before each field, and the field.
    parts: Vec<(String, String)>,
    end: String,
}

impl Template {
    pub(crate) fn new<A: DeserializeOwned>(text: &str) -> Result<Self, Error> {
        let fields = fields_of::<A>();
        let mut parts: Vec<(String, String)> = Vec::new();
        let mut rest = text;
        while let Some((before, (field, after))) =
            rest.split_once('{').and_then(|(before, from)| Some((before, from.split_once('}')?)))
        {
            match fields {
                Some(known) if !known.contains(&field) => {
                    let known = known.join(", ");
                    return Err(Error::Usage(format!(
                        "template \"{text}\": {{{field}}} is no field of the argument, which has {known}"
                    )));
                }
                // A plain argument has no name but the one that is given to it here.
                None if parts.first().is_some_and(|(_, first)| first != field) => {
                    return Err(Error::Usage(format!(
                        "template \"{text}\": {{{field}}} is a second name for one argument: make a struct of the two"
                    )));
                }
                _ => parts.push((before.to_owned(), field.to_owned())),
            }
            rest = after;
        }
        Ok(Template { text: text.to_owned(), parts, end: rest.to_owned() })
    }

    pub(crate) fn key<A: Serialize>(&self, arguments: &A) -> Result<String, Error> {
        let whole = serde_json::to_value(arguments).map_err(Error::Serialization)?;
        let mut key = String::new();
        for (before, field) in &self.parts {
            key.push_str(before);
            let value = whole.as_object().map_or(&whole, |fields| fields.get(field).unwrap_or(&Value::Null));
            key.push_str(&self.written(field, value)?);
        }
        Ok(key + &self.end)
    }

    fn written(&self, field: &str, value: &Value) -> Result<String, Error> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Object(_) | Value::Array(_) => {
                return Err(Error::Usage(format!(
                    "template \"{}\": {{{field}}} is of several parts, of which no key can be made; pass a text or a number",
                    self.text
                )));
            }
            other => other.to_string(),
        };
        // "a:b" and "c" must not meet "a" and "b:c".
        Ok(text.replace('%', "%25").replace(':', "%3A"))
    }
}

/// The names of a struct's fields, asked of serde: a deserializer is told them before it has to give anything.
fn fields_of<A: DeserializeOwned>() -> Option<&'static [&'static str]> {
    match A::deserialize(Asked) {
        Err(Told(fields)) => fields,
        Ok(_) => None,
    }
}

struct Asked;

#[derive(Debug)]
struct Told(Option<&'static [&'static str]>);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Told {}

impl de::Error for Told {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Told(None)
    }
}

impl<'de> Deserializer<'de> for Asked {
    type Error = Told;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Told> {
        Err(Told(None))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Told> {
        Err(Told(Some(fields)))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::Template;

    #[derive(Serialize, Deserialize)]
    struct Day {
        day: String,
        kind: u32,
    }

    #[test]
    fn names_are_the_fields_of_a_struct() {
        let template = Template::new::<Day>("report:{day}:{kind}").unwrap();
        assert_eq!(template.key(&Day { day: "a:b%".into(), kind: 7 }).unwrap(), "report:a%3Ab%25:7");
        let refused = Template::new::<Day>("report:{week}").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "template \"report:{week}\": {week} is no field of the argument, which has day, kind"
        );
    }

    #[test]
    fn a_plain_argument_has_the_name_that_the_template_gives_it() {
        let template = Template::new::<String>("report:{day}!").unwrap();
        assert_eq!(template.key(&"monday".to_owned()).unwrap(), "report:monday!");
        assert!(Template::new::<u64>("{a}:{b}").is_err());
        assert!(Template::new::<Vec<u8>>("{a}").unwrap().key(&vec![1u8]).is_err());
    }
}
