//! Bodies that are no JSON: forms, as Meta's SDKs send them. A value may be JSON (`message={"text":"Hello"}`), or be spread
//! over names (`message[text]=Hello`).

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart};
use axum::http::Request;
use serde_json::{Map, Value, json};

/// The fields of a form of type `application/x-www-form-urlencoded`.
pub(super) fn urlencoded(body: &[u8]) -> Value {
    let mut fields = Map::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        put(&mut fields, &name, value_of(&value));
    }
    with_lists(Value::Object(fields))
}

/// The fields of a form of type `multipart/form-data`. A file is told by its name, type and size.
///
/// # Errors
/// It is not such a form.
pub(super) async fn multipart(request: Request<Body>) -> Result<Value, String> {
    let mut request = request;
    // It is in memory already.
    DefaultBodyLimit::disable().apply(&mut request);
    let mut form = Multipart::from_request(request, &()).await.map_err(|err| err.to_string())?;
    let mut fields = Map::new();
    while let Some(field) = form.next_field().await.map_err(|err| err.to_string())? {
        let name = field.name().unwrap_or_default().to_owned();
        let file = field.file_name().map(str::to_owned);
        let content_type = field.content_type().map(str::to_owned);
        let bytes = field.bytes().await.map_err(|err| err.to_string())?;
        let value = match file {
            Some(file) => json!({"filename": file, "contentType": content_type, "size": bytes.len()}),
            None => value_of(&String::from_utf8_lossy(&bytes)),
        };
        put(&mut fields, &name, value);
    }
    Ok(with_lists(Value::Object(fields)))
}

/// A value that is an object or a list is JSON; others are text.
fn value_of(text: &str) -> Value {
    let is_json = text.starts_with(['{', '[']);
    serde_json::from_str(text).ok().filter(|_| is_json).unwrap_or_else(|| Value::from(text))
}

/// Puts a value in its place: `a[b][c]` is in `b` of `a`.
fn put(fields: &mut Map<String, Value>, name: &str, value: Value) {
    let Some((first, rest)) = name.split_once('[') else {
        fields.insert(name.to_owned(), value);
        return;
    };
    let inner = fields.entry(first).or_insert_with(|| Value::Object(Map::new()));
    let Some((second, rest)) = rest.split_once(']') else { return };
    match inner {
        Value::Object(inner) => put(inner, &format!("{second}{rest}"), value),
        other => *other = json!({ second: value }),
    }
}

/// Objects with the keys 0, 1, 2, … are lists.
fn with_lists(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let is_list = !fields.is_empty() && (0..fields.len()).all(|n| fields.contains_key(&n.to_string()));
    if is_list {
        let mut fields = fields;
        let items =
            (0..fields.len()).map(|n| fields.remove(&n.to_string()).map(with_lists).unwrap_or_default());
        return items.collect::<Vec<_>>().into();
    }
    fields.into_iter().map(|(name, value)| (name, with_lists(value))).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_or_spread_over_names() {
        for (body, read) in [
            (
                "recipient=%7B%22id%22%3A%227%22%7D&message=%7B%22text%22%3A%22a+b%22%7D&tag=HUMAN_AGENT",
                json!({"recipient": {"id": "7"}, "message": {"text": "a b"}, "tag": "HUMAN_AGENT"}),
            ),
            (
                "recipient[id]=7&message[text]=%5Bx&message[quick_replies][0][title]=A&message[quick_replies][1][title]=B",
                json!({"recipient": {"id": "7"}, "message": {"text": "[x", "quick_replies": [{"title": "A"}, {"title": "B"}]}}),
            ),
            ("a=1&a[b]=2&c[=3", json!({"a": {"b": "2"}, "c": {}})),
            ("", json!({})),
        ] {
            assert_eq!(urlencoded(body.as_bytes()), read, "{body}");
        }
    }
}
