//! A pattern, `report:{day}:{kind}`, over the fields of a struct or over one plain argument.

use std::borrow::Cow;

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
    /// A key's: of calls that differ, the keys differ.
    pub(crate) fn new<A: DeserializeOwned>(text: &str) -> Result<Self, Error> {
        let fields = fields_of::<A>();
        let made = Self::read(text, fields)?;
        let left_out = match fields {
            Some(known) => known.iter().find(|known| !made.parts.iter().any(|(_, field)| field == *known)).copied(),
            None => made.parts.is_empty().then_some("argument"),
        };
        match left_out {
            None => Ok(made),
            Some(field) => Err(Error::Usage(format!(
                "template \"{text}\" does not name {{{field}}}: calls that differ in it would share a value"
            ))),
        }
    }

    /// A call's tags, if they name what is in its arguments; none if no tag does.
    pub(crate) fn tags<A: DeserializeOwned>(&self, tags: &[String]) -> Result<Option<Vec<Template>>, Error> {
        if !tags.iter().any(|tag| tag.split_once('{').is_some_and(|(_, from)| from.contains('}'))) {
            return Ok(None);
        }
        let named: Vec<&str> = self.parts.first().map(|(_, first)| first.as_str()).into_iter().collect();
        // A plain argument has the key's name for it.
        let known = fields_of::<A>().unwrap_or(&named);
        tags.iter().map(|tag| Self::read(tag, Some(known))).collect::<Result<_, _>>().map(Some)
    }

    fn read(text: &str, fields: Option<&[&str]>) -> Result<Self, Error> {
        let mut parts: Vec<(String, String)> = Vec::new();
        let mut rest = text;
        while let Some((before, (field, after))) =
            rest.split_once('{').and_then(|(before, from)| Some((before, from.split_once('}')?)))
        {
            match fields {
                Some(known) if !known.contains(&field) => {
                    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
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
        // "a:b" and "c" must not meet "a" and "b:c".
        self.written(&values_of(arguments)?, |text| text.replace('%', "%25").replace(':', "%3A").into())
    }

    /// As they are: `invalidate_tags(["day:a:b"])` is to meet them.
    pub(crate) fn texts<A: Serialize>(templates: &[Self], arguments: &A) -> Result<Vec<String>, Error> {
        let whole = values_of(arguments)?;
        templates.iter().map(|template| template.written(&whole, |text| text.into())).collect()
    }

    fn written(&self, whole: &Value, escape: fn(&str) -> Cow<'_, str>) -> Result<String, Error> {
        let mut made = String::new();
        for (before, field) in &self.parts {
            made.push_str(before);
            let value = whole.as_object().map_or(whole, |fields| fields.get(field).unwrap_or(&Value::Null));
            made.push_str(&escape(&self.text(field, value)?));
        }
        Ok(made + &self.end)
    }

    fn text<'a>(&self, field: &str, value: &'a Value) -> Result<Cow<'a, str>, Error> {
        match value {
            Value::String(text) => Ok(text.into()),
            Value::Object(_) | Value::Array(_) => {
                Err(Error::Usage(format!(
                    "template \"{}\": {{{field}}} is of several parts, of which no text can be made; pass a text or a number",
                    self.text
                )))
            }
            // None, or a number that is none: a text that says so would be another argument's.
            Value::Null => Err(Error::Usage(format!(
                "template \"{}\": {{{field}}} is nothing, of which no text can be made",
                self.text
            ))),
            other => Ok(other.to_string().into()),
        }
    }
}

fn values_of<A: Serialize>(arguments: &A) -> Result<Value, Error> {
    serde_json::to_value(arguments).map_err(Error::Serialization)
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

    fn deserialize_unit<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Told> {
        Err(Told(Some(&[])))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, _: V) -> Result<V::Value, Told> {
        Err(Told(Some(&[])))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
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

    #[test]
    fn calls_that_differ_have_keys_that_differ() {
        let refused = |made: Result<Template, crate::Error>| made.unwrap_err().to_string();
        assert!(refused(Template::new::<Day>("report:{day}")).contains("does not name {kind}"));
        assert!(refused(Template::new::<u64>("report")).contains("does not name {argument}"));
        assert_eq!(Template::new::<()>("all").unwrap().key(&()).unwrap(), "all");
        let user = Template::new::<Option<String>>("user:{name}").unwrap();
        assert_eq!(user.key(&Some("null".to_owned())).unwrap(), "user:null");
        assert!(user.key(&None::<String>).unwrap_err().to_string().contains("{name} is nothing"));
        assert!(Template::new::<f64>("{x}").unwrap().key(&f64::NAN).is_err());
    }

    #[test]
    fn tags_are_written_as_they_are_and_know_the_names_that_the_key_knows() {
        let tags_of = |given: &[&str]| given.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        let key = Template::new::<Day>("report:{day}:{kind}").unwrap();
        let tags = key.tags::<Day>(&tags_of(&["day:{day}", "reports"])).unwrap().unwrap();
        let day = Day { day: "a:b%".into(), kind: 7 };
        assert_eq!(Template::texts(&tags, &day).unwrap(), ["day:a:b%", "reports"]);
        assert!(key.tags::<Day>(&tags_of(&["reports", "}{"])).unwrap().is_none());
        let refused = key.tags::<Day>(&tags_of(&["week:{week}"])).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "template \"week:{week}\": {week} is no field of the argument, which has day, kind"
        );

        let plain = Template::new::<u64>("user:{id}").unwrap();
        let tags = plain.tags::<u64>(&tags_of(&["u:{id}"])).unwrap().unwrap();
        assert_eq!(Template::texts(&tags, &7u64).unwrap(), ["u:7"]);
        assert!(plain.tags::<u64>(&tags_of(&["u:{name}"])).unwrap_err().to_string().contains("which has id"));
        let all = Template::new::<()>("all").unwrap();
        assert!(all.tags::<()>(&tags_of(&["u:{id}"])).unwrap_err().to_string().contains("which has none"));
    }
}
