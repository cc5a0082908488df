//! Messages with variables: `{{name}}` in any text of Graph's `message` object, filled in when it is sent.

use super::{Fault, InvalidMessage, Outgoing};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum length of a variable's name, in bytes.
const NAME_BYTES_MAX: usize = 32;

/// Maximum size of a template, in bytes of JSON.
const BYTES_MAX: usize = 32 * 1024;

/// Fields that hold an address: what is filled in there is encoded for it.
const ADDRESSES: [&str; 2] = ["url", "image_url"];

/// A message with variables.
#[derive(Debug, Clone, PartialEq)]
pub struct Template(Value);

/// Why a template could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFilled {
    /// These variables have no value.
    #[error("no value for {}", .0.join(", "))]
    Missing(Vec<String>),
    /// With these values it is no message that Meta takes.
    #[error(transparent)]
    Invalid(InvalidMessage),
}

impl Template {
    /// Checks a text, or Graph's `message` object, with variables: that every variable can be read, and that it is a message if each has
    /// the value `x`. How long values are shows only when it is filled in.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(message: &Value) -> Result<Self, InvalidMessage> {
        let message = match message {
            Value::String(text) => json!({ "text": text }),
            other => other.clone(),
        };
        let template = Self(message);
        let mut faults = Vec::new();
        if template.0.to_string().len() > BYTES_MAX {
            faults.push(fault("", format!("must be at most {BYTES_MAX} bytes of JSON")));
        }
        check(&template.0, "", &mut faults);
        if !faults.is_empty() {
            return Err(InvalidMessage { faults });
        }
        let example = template.variables().into_iter().map(|name| (name, "x".to_owned())).collect();
        match template.fill(&example) {
            Ok(_) => Ok(template),
            Err(NotFilled::Invalid(err)) => Err(err),
            Err(NotFilled::Missing(names)) => {
                Err(InvalidMessage { faults: vec![fault("", names.join(", "))] })
            }
        }
    }

    /// A template that was checked before.
    pub fn stored(message: Value) -> Self {
        Self(message)
    }

    /// The message, with its variables.
    pub fn as_json(&self) -> &Value {
        &self.0
    }

    /// The names of its variables.
    pub fn variables(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        collect(&self.0, &mut names);
        names
    }

    /// The message with these values. Other values are not used.
    ///
    /// # Errors
    /// [`NotFilled`].
    pub fn fill(&self, values: &BTreeMap<String, String>) -> Result<Outgoing, NotFilled> {
        let missing: Vec<String> =
            self.variables().into_iter().filter(|name| !values.contains_key(name)).collect();
        if !missing.is_empty() {
            return Err(NotFilled::Missing(missing));
        }
        Outgoing::from_json(&filled(&self.0, values, false)).map_err(NotFilled::Invalid)
    }
}

fn fault(pointer: &str, what: impl Into<String>) -> Fault {
    Fault { pointer: pointer.to_owned(), what: what.into() }
}

/// The parts of a text: what stands between variables, and the variables. A bracket that begins none is text.
enum Part<'a> {
    Text(&'a str),
    Variable(&'a str),
    /// Between `{{` and `}}`, but no name.
    Odd(&'a str),
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inner, next)) = after.split_once("}}") else { break };
        parts.push(Part::Text(before));
        let name = inner.trim();
        parts.push(if is_name(name) { Part::Variable(name) } else { Part::Odd(inner) });
        rest = next;
    }
    parts.push(Part::Text(rest));
    parts
}

fn is_name(name: &str) -> bool {
    let is_letter = |b: u8| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit();
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(is_letter)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
}

fn check(value: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    match value {
        Value::String(text) => {
            for part in parts(text) {
                if let Part::Odd(inner) = part {
                    let form = "a variable is {{name}}: lower-case letters, digits and _, at most 32";
                    faults.push(fault(pointer, format!("{{{{{inner}}}}} is none; {form}")));
                }
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                check(item, &format!("{pointer}/{n}"), faults);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                check(field, &format!("{pointer}/{name}"), faults);
            }
        }
        _ => {}
    }
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            names.extend(parts(text).into_iter().filter_map(|part| match part {
                Part::Variable(name) => Some(name.to_owned()),
                _ => None,
            }));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, names)),
        _ => {}
    }
}

fn filled(value: &Value, values: &BTreeMap<String, String>, is_address: bool) -> Value {
    match value {
        Value::String(text) => {
            let mut all = String::with_capacity(text.len());
            for part in parts(text) {
                match part {
                    Part::Text(text) => all.push_str(text),
                    Part::Odd(inner) => all.extend(["{{", inner, "}}"]),
                    Part::Variable(name) => {
                        let value = values.get(name).map_or("", String::as_str);
                        if is_address {
                            let encoded: String =
                                url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
                            all.push_str(&encoded.replace('+', "%20"));
                        } else {
                            all.push_str(value);
                        }
                    }
                }
            }
            Value::String(all)
        }
        Value::Array(items) => items.iter().map(|item| filled(item, values, false)).collect(),
        Value::Object(fields) => {
            let one = |(name, field): (&String, &Value)| {
                (name.clone(), filled(field, values, ADDRESSES.contains(&name.as_str())))
            };
            Value::Object(fields.iter().map(one).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn variables_are_filled_in_wherever_they_stand() {
        let message = json!({"attachment": {"type": "template", "payload": {
            "template_type": "button", "text": "Hello {{ name }}, your order {{order}} is here. {{ } {",
            "buttons": [{"type": "web_url", "title": "Track {{order}}", "url": "https://shop.example/{{order}}?q={{name}}"}],
        }}});
        let template = Template::parse(&message).unwrap();
        assert_eq!(template.variables(), ["name", "order"].map(str::to_owned).into());
        let filled = template
            .fill(&values(&[("name", "Ada & Bob {{order}}"), ("order", "7/8"), ("other", "x")]))
            .unwrap();
        let payload = &filled.as_json()["attachment"]["payload"];
        // A value is text: what it holds is not filled in again, and changes no address.
        assert_eq!(payload["text"], "Hello Ada & Bob {{order}}, your order 7/8 is here. {{ } {");
        assert_eq!(
            payload["buttons"][0]["url"],
            "https://shop.example/7%2F8?q=Ada%20%26%20Bob%20%7B%7Border%7D%7D"
        );
        assert_eq!(payload["buttons"][0]["title"], "Track 7/8");
    }

    #[test]
    fn what_cannot_be_sent_is_told() {
        let template = Template::parse(&json!("Hi {{name}}")).unwrap();
        assert_eq!(template.fill(&values(&[])), Err(NotFilled::Missing(vec!["name".to_owned()])));
        let long = "x".repeat(1_000);
        let Err(NotFilled::Invalid(err)) = template.fill(&values(&[("name", &long)])) else {
            panic!("filled")
        };
        assert_eq!(err.faults[0].pointer, "/text");
        let odd = Template::parse(&json!({"text": "{{Name}} {{}} {{a b}} {{1a}} {{ok}}"})).unwrap_err();
        assert_eq!(odd.faults.len(), 4, "{odd}");
        assert!(Template::parse(&json!({"text": ""})).is_err());
        assert!(Template::parse(&json!({"attachment": {"type": "exe"}})).is_err());
        assert!(Template::parse(&json!("x".repeat(40_000))).is_err());
    }
}
