//! Graph's field expressions: `id,messages.limit(5){id,from},to`.

use serde_json::{Map, Value};

use super::errors::GraphError;

/// A requested field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) limit: Option<usize>,
    pub(crate) inner: Vec<Field>,
}

/// Parses a field expression; unparsable text is treated as a name and rejected as a nonexistent field.
pub(crate) fn parse(expression: &str) -> Vec<Field> {
    split_top(expression).into_iter().filter(|part| !part.is_empty()).map(parse_one).collect()
}

fn parse_one(part: &str) -> Field {
    let (head, inner) = match part.split_once('{') {
        Some((head, rest)) => (head, rest.strip_suffix('}').unwrap_or(rest)),
        None => (part, ""),
    };
    let mut modifiers = head.split('.');
    let name = modifiers.next().unwrap_or_default().trim().to_owned();
    let limit = modifiers
        .find_map(|modifier| modifier.strip_prefix("limit(")?.strip_suffix(')'))
        .and_then(|limit| limit.parse().ok());
    Field { name, limit, inner: parse(inner) }
}

/// Splits at commas outside braces.
fn split_top(expression: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, char) in expression.char_indices() {
        match char {
            '{' | '(' => depth += 1,
            '}' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(expression[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(expression[from..].trim());
    parts
}

/// The requested fields of a node that has the `known` ones. `id` is always included; a field without a value
/// is omitted.
pub(crate) fn select(node: &Map<String, Value>, asked: &[Field], kind: &str) -> Result<Value, GraphError> {
    let mut answer = Map::new();
    for field in asked {
        match node.get(&field.name) {
            None => {
                let message = format!(
                    "(#100) Tried accessing nonexisting field ({}) on node type ({kind})",
                    field.name
                );
                return Err(GraphError::new(100, message));
            }
            Some(Value::Null) => {}
            Some(Value::Object(inner)) if !field.inner.is_empty() => {
                answer.insert(field.name.clone(), select(inner, &field.inner, kind)?);
            }
            Some(value) => {
                answer.insert(field.name.clone(), value.clone());
            }
        }
    }
    if let Some(id) = node.get("id") {
        answer.insert("id".to_owned(), id.clone());
    }
    Ok(Value::Object(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_expressions_are_read() {
        let fields = parse("id,messages.limit(5){id,from,to{x}},updated_time");
        assert_eq!(fields.len(), 3);
        assert_eq!(fields[1].name, "messages");
        assert_eq!(fields[1].limit, Some(5));
        assert_eq!(fields[1].inner.len(), 3);
        assert_eq!(fields[1].inner[2].inner[0].name, "x");
        assert!(parse("").is_empty());
    }
}
