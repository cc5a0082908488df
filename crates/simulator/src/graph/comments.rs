//! A comment: when it was written, a reply that everybody sees, and hiding it (Meta, "Comment moderation"). The fields of the answers beyond
//! `id` and `success` are an assumption.

use super::call::Call;
use super::errors::GraphError;
use crate::ids;
use crate::world::World;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

/// `GET /{comment}`.
pub(super) fn read(world: &World, id: &str, call: &Call) -> Result<Value, GraphError> {
    let comment = world.comments.get(id).ok_or_else(|| GraphError::no_object(call.method.as_str(), id))?;
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+0000");
    let at =
        OffsetDateTime::from_unix_timestamp(comment.at / 1_000).ok().and_then(|at| at.format(format).ok());
    Ok(json!({ "id": id, "timestamp": at, "hidden": comment.hidden }))
}

/// `POST /{comment}/replies` and `POST /{comment}`.
pub(super) fn change(world: &mut World, id: &str, call: &Call) -> Result<Value, GraphError> {
    let no_object = || GraphError::no_object(call.method.as_str(), id);
    let comment = world.comments.get_mut(id).ok_or_else(no_object)?;
    if call.segments.get(1).is_some_and(|edge| edge == "replies") {
        let text = call.body["message"].as_str().filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| GraphError::new(100, "(#100) The parameter message is required."))?;
        comment.replies.push(text.to_owned());
        return Ok(json!({ "id": ids::digits(17) }));
    }
    let hide = match &call.body["hide"] {
        Value::Bool(hide) => Some(*hide),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    comment.hidden = hide.ok_or_else(|| GraphError::new(100, "(#100) The parameter hide is required."))?;
    Ok(json!({ "success": true }))
}
