//! Checks bodies and query strings against the OpenAPI document: all faults at once, in the words of the API. So what the document
//! says of a call is what the call demands.
//!
//! Only the keywords of JSON Schema (draft 2020-12) that the document uses in requests are known; a test holds that. A library
//! would check them all, but name the faults in words of JSON Schema, each of which would have to be put into the API's.

mod rules;

pub(crate) use rules::{CHECKED_AS, PLACES};

use crate::access::Tenant;
use crate::problem::{Problem, ValidationErrors};
use crate::services::triage::checked_language;
use crate::state::ApiState;
use dmrelay_domain::text::pointer_token;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use url::form_urlencoded;

/// Names members of an object of which exactly one must be there.
pub(crate) const ONE_OF_REQUIRED: &str = "x-exactly-one-of";

/// What a call accepts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checks(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    schemas: Arc<Value>,
    body: Option<Value>,
    /// The query parameters by name.
    query: BTreeMap<String, Value>,
}

/// A list of possible names, for a suggestion.
type Names<'a> = Vec<&'a str>;

/// How alike a name must be to one that exists to be taken for a slip (Jaro–Winkler, 0 to 1).
const ALIKE: f64 = 0.85;

impl Checks {
    /// The checks of each operation of the document, by its id.
    pub(crate) fn of(document: &Value) -> BTreeMap<String, Self> {
        let schemas = Arc::new(document["components"]["schemas"].clone());
        let items = document["paths"].as_object().into_iter().flatten().map(|(_, item)| item);
        let operations = items.flat_map(|item| item.as_object().into_iter().flatten());
        let named = operations.filter_map(|(_, operation)| {
            let id = operation["operationId"].as_str()?.to_owned();
            Some((id, Self(Arc::new(Parts::of(&schemas, operation)))))
        });
        named.collect()
    }

    /// Fails with every fault of a body that a tenant sent.
    pub(crate) async fn body(
        &self,
        (state, tenant): (&ApiState, &Tenant),
        value: &Value,
    ) -> Result<(), Problem> {
        let faults = self.faults(value);
        let mut errors = ValidationErrors::default();
        for (pointer, what) in &faults.all {
            errors.at(pointer, what);
        }
        let is_told = |at: &str| faults.all.iter().any(|(place, _)| is_at_or_below(at, place));
        for (pointer, rule) in &faults.rules {
            let Some(whole) = value.pointer(pointer).filter(|_| !is_told(pointer)) else { continue };
            let mut found = ValidationErrors::default();
            let mut is_read = rules::apply((state, tenant), (rule, whole), pointer, &mut found).await?;
            // What has values of the wrong type is looked at without them, or without all that has such values inside.
            for is_deep in [false, true] {
                let sound = sound(whole, (pointer, is_deep), &faults.all).filter(|_| !is_read);
                if let Some(sound) = sound {
                    is_read = rules::apply((state, tenant), (rule, &sound), pointer, &mut found).await?;
                }
            }
            errors.take(found, |at| !is_told(at));
        }
        errors.end()
    }

    /// What the schema shows of a body.
    fn faults(&self, value: &Value) -> Faults<'_> {
        let Parts { schemas, body, .. } = &*self.0;
        let mut faults = Faults::new(schemas);
        if let Some(schema) = body {
            faults.check(schema, value, "");
        }
        faults
    }

    /// Fails with every fault of a query string.
    pub(crate) fn query(&self, text: &str) -> Result<(), Problem> {
        let mut errors = ValidationErrors::default();
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let Some(schema) = self.0.query.get(&*name) else {
                let names = self.0.query.keys().map(String::as_str).collect();
                errors
                    .parameter(&name, format!("is not a parameter of this call{}", suggestion(&name, names)));
                continue;
            };
            if seen.contains(&name) {
                errors.parameter(&name, "is given more than once");
                continue;
            }
            let mut faults = Faults::new(&self.0.schemas);
            faults.check(schema, &typed(schema, &value), "");
            for (_, what) in faults.all {
                errors.parameter(&name, what);
            }
            seen.push(name);
        }
        errors.end()
    }
}

impl Parts {
    fn of(schemas: &Arc<Value>, operation: &Value) -> Self {
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let in_query = parameters.filter(|parameter| parameter["in"] == "query");
        let query = in_query.filter_map(|parameter| {
            Some((parameter["name"].as_str()?.to_owned(), parameter["schema"].clone()))
        });
        Self {
            schemas: schemas.clone(),
            body: (!body.is_null()).then(|| body.clone()),
            query: query.collect(),
        }
    }
}

/// The value of a query parameter in the type that its schema wants, if the text can be read as that.
fn typed(schema: &Value, text: &str) -> Value {
    let types = types_of(schema);
    if types.contains(&"integer")
        && let Ok(number) = text.parse::<i64>()
    {
        return Value::from(number);
    }
    match text {
        "true" | "false" if types.contains(&"boolean") => Value::from(text == "true"),
        _ => Value::from(text),
    }
}

/// The types a schema allows; none for any.
fn types_of(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether a place of a body is another, or inside it.
fn is_at_or_below(place: &str, other: &str) -> bool {
    place.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The object at `pointer` of a body without its members that have faults, if `is_deep` also without those that have faults inside;
/// `None` if it is no object.
fn sound(whole: &Value, (pointer, is_deep): (&str, bool), faults: &[(String, String)]) -> Option<Value> {
    let mut value = whole.clone();
    let members = value.as_object_mut()?;
    members.retain(|name, _| {
        let member = below(pointer, name);
        !faults.iter().any(|(place, _)| *place == member || is_deep && is_at_or_below(place, &member))
    });
    Some(value)
}

/// Collects faults, each with a JSON pointer (RFC 6901).
struct Faults<'a> {
    schemas: &'a Value,
    all: Vec<(String, String)>,
    /// Values that the schema wants checked by a rule, and the rule's name.
    rules: Vec<(String, String)>,
}

impl<'a> Faults<'a> {
    fn new(schemas: &'a Value) -> Self {
        Self { schemas, all: Vec::new(), rules: Vec::new() }
    }

    fn at(&mut self, pointer: &str, what: impl Into<String>) {
        self.all.push((pointer.to_owned(), what.into()));
    }

    fn check(&mut self, schema: &'a Value, value: &Value, pointer: &str) {
        let schema = self.resolved(schema);
        if let Some(rule) = schema[CHECKED_AS].as_str() {
            self.rules.push((pointer.to_owned(), rule.to_owned()));
            if value.is_object() && rules::knows_all(rule) {
                return;
            }
        }
        for branch in ["oneOf", "anyOf"] {
            if let Some(branches) = schema[branch].as_array() {
                self.check_branches(branches, value, pointer);
            }
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.check(part, value, pointer);
        }
        let types = types_of(schema);
        if !types.is_empty() && !types.iter().any(|name| is_of_type(name, value)) {
            return self.at(pointer, format!("must be {}", in_words(&types)));
        }
        if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
            let words: Vec<_> = allowed.iter().filter_map(Value::as_str).collect();
            return self.at(pointer, format!("must be one of {}", words.join(", ")));
        }
        match value {
            Value::String(text) => self.check_text(schema, text, pointer),
            Value::Number(_) => self.check_number(schema, value, pointer),
            Value::Array(items) => self.check_items(schema, items, pointer),
            Value::Object(members) => self.check_members(schema, members, pointer),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// One of several: the faults of the one that comes nearest are told, among those for values of this type.
    fn check_branches(&mut self, branches: &'a [Value], value: &Value, pointer: &str) {
        let branches: Vec<&Value> = branches.iter().map(|branch| self.resolved(branch)).collect();
        let fits = |branch: &&&Value| {
            let types = types_of(branch);
            types.is_empty() || types.iter().any(|name| is_of_type(name, value))
        };
        let fitting = branches.iter().filter(fits).map(|branch| {
            let mut faults = Self::new(self.schemas);
            faults.check(branch, value, pointer);
            faults
        });
        let Some(nearest) = fitting.min_by_key(|faults| faults.all.len()) else {
            let types: Vec<&str> = branches.iter().flat_map(|branch| types_of(branch)).collect();
            return self.at(pointer, format!("must be {}", in_words(&types)));
        };
        self.all.extend(nearest.all);
        self.rules.extend(nearest.rules);
    }

    /// The schema that a reference names, or the schema itself.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str().and_then(|to| to.rsplit('/').next()) {
            Some(name) => &self.schemas[name],
            None => schema,
        }
    }

    fn check_text(&mut self, schema: &Value, text: &str, pointer: &str) {
        let length = text.chars().count() as u64;
        let (least, most) = (schema["minLength"].as_u64(), schema["maxLength"].as_u64());
        if length < least.unwrap_or(0) {
            let what =
                if length == 0 { "must not be empty".to_owned() } else { at_least(least, "characters") };
            return self.at(pointer, what);
        }
        if most.is_some_and(|most| length > most) {
            self.at(pointer, at_most(most, "characters"));
        }
        if let Some((_, words)) =
            schema["pattern"].as_str().and_then(known_pattern).filter(|(is, _)| !is(text))
        {
            self.at(pointer, format!("must be {words}"));
        }
        let fault = match schema["format"].as_str() {
            Some("uuid") if text.parse::<uuid::Uuid>().is_err() => Some("must be a UUID"),
            Some("date-time") if dmrelay_views::parse_time(text).is_err() => {
                Some("must be a time as 2026-01-31T12:00:00Z")
            }
            _ => None,
        };
        if let Some(fault) = fault {
            self.at(pointer, fault);
        }
    }

    fn check_number(&mut self, schema: &Value, value: &Value, pointer: &str) {
        let (least, most) = (&schema["minimum"], &schema["maximum"]);
        let is_less = least.as_f64().zip(value.as_f64()).is_some_and(|(least, value)| value < least);
        let is_more = most.as_f64().zip(value.as_f64()).is_some_and(|(most, value)| value > most);
        if !is_less && !is_more {
            return;
        }
        let what = match (least.is_number(), most.is_number()) {
            (true, true) => format!("must be {least} to {most}"),
            (true, false) => format!("must be at least {least}"),
            _ => format!("must be at most {most}"),
        };
        self.at(pointer, what);
    }

    fn check_items(&mut self, schema: &'a Value, items: &[Value], pointer: &str) {
        let (least, most) = (schema["minItems"].as_u64(), schema["maxItems"].as_u64());
        let count = items.len() as u64;
        if count < least.unwrap_or(0) {
            self.at(
                pointer,
                if count == 0 { "must not be empty".to_owned() } else { at_least(least, "items") },
            );
        }
        if most.is_some_and(|most| count > most) {
            return self.at(pointer, at_most(most, "items"));
        }
        if schema["items"].is_object() {
            for (index, item) in items.iter().enumerate() {
                self.check(&schema["items"], item, &format!("{pointer}/{index}"));
            }
        }
    }

    fn check_members(&mut self, schema: &'a Value, members: &Map<String, Value>, pointer: &str) {
        if (members.len() as u64) < schema["minProperties"].as_u64().unwrap_or(0) {
            self.at(pointer, "must not be empty");
        }
        let most = schema["maxProperties"].as_u64();
        if most.is_some_and(|most| members.len() as u64 > most) {
            self.at(pointer, at_most(most, "members"));
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                self.at(&below(pointer, name), "is required");
            }
        }
        // One of them, in words that JSON Schema has no short form for.
        let either: Vec<&str> =
            schema[ONE_OF_REQUIRED].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let is_given = |name: &&str| members.get(*name).is_some_and(|member| !member.is_null());
        let given: Vec<&str> = either.iter().copied().filter(is_given).collect();
        match (&either[..], &given[..]) {
            ([first, others @ ..], []) => self
                .at(&below(pointer, first), format!("is required, unless {} is given", others.join(" or "))),
            (_, [first, others @ ..]) => {
                for name in others {
                    self.at(&below(pointer, name), format!("cannot be given together with {first}"));
                }
            }
            ([], []) => {}
        }
        let properties = schema["properties"].as_object();
        for (name, member) in members {
            let at = below(pointer, name);
            let pattern = schema["propertyNames"]["pattern"].as_str().and_then(known_pattern);
            if let Some((_, words)) = pattern.filter(|(is, _)| !is(name)) {
                self.at(&at, format!("the name must be {words}"));
            }
            match properties.and_then(|properties| properties.get(name)) {
                // Where one of several is wanted, null is none.
                Some(_) if member.is_null() && either.contains(&name.as_str()) => {}
                Some(property) => self.check(property, member, &at),
                None if schema["additionalProperties"] == false => {
                    let names = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
                    self.at(&at, format!("is not a field of this object{}", suggestion(name, names)));
                }
                None if schema["additionalProperties"].is_object() => {
                    self.check(&schema["additionalProperties"], member, &at);
                }
                None => {}
            }
        }
    }
}

/// The pointer of a member.
fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", pointer_token(name))
}

fn suggestion(name: &str, names: Names<'_>) -> String {
    let alike = names.into_iter().map(|known| (strsim::jaro_winkler(name, known), known));
    let best = alike.max_by(|(a, _), (b, _)| a.total_cmp(b)).filter(|(likeness, _)| *likeness >= ALIKE);
    best.map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"))
}

fn at_least(count: Option<u64>, of: &str) -> String {
    format!("must have at least {} {of}", count.unwrap_or_default())
}

fn at_most(count: Option<u64>, of: &str) -> String {
    format!("must have at most {} {of}", count.unwrap_or_default())
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    }
}

fn in_words(types: &[&str]) -> String {
    let words = types.iter().map(|name| match *name {
        "string" => "a string",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object",
        other => other,
    });
    words.collect::<Vec<_>>().join(", or ")
}

/// A pattern of the document: what matches it, and that in words.
type Pattern = (fn(&str) -> bool, &'static str);

/// The patterns that the document uses in requests, which a test holds.
fn known_pattern(pattern: &str) -> Option<Pattern> {
    fn is_word(text: &str) -> bool {
        text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
    }
    match pattern {
        "^[0-9]{1,32}$" => Some((
            |text| (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
            "digits only, at most 32",
        )),
        "^[A-Za-z0-9_.-]{1,128}$" => Some((
            |text| (1..=128).contains(&text.len()) && is_word(text),
            "letters, digits, _, . and - only, at most 128",
        )),
        "^[A-Za-z0-9_]{1,64}$" => Some((
            |text| (1..=64).contains(&text.len()) && is_word(text) && !text.contains(['.', '-']),
            "letters, digits and _ only, at most 64",
        )),
        "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$" => {
            Some((|text| checked_language(text).is_ok(), "a language tag as in BCP 47: de, pt-br"))
        }
        "^[A-Z_]+(,[A-Z_]+)*$" => Some((
            |text| {
                let is_kind = |kind: &str| kind.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
                text.split(',').all(|kind| !kind.is_empty() && is_kind(kind))
            },
            "kinds of activities, separated by commas",
        )),
        "^(message|chat)(,(message|chat))*$" => Some((
            |text| text.split(',').all(|word| matches!(word, "message" | "chat")),
            "message, chat, or both, separated by a comma",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
