//! Rows as the frontend sees them: camelCase, times as RFC 3339.

use crate::problem::Problem;
use dmrelay_domain::states::ConnectionStatus;
use dmrelay_instagram::links::{self, QrLink};
use dmrelay_store::{Connection, Listed};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds as RFC 3339 in UTC.
pub(crate) fn time(millis: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()?.format(&Rfc3339).ok()
}

/// A connection.
pub(crate) fn connection(connection: &Connection) -> Value {
    let row = &connection.row;
    let fields: Value = serde_json::from_str(&row.subscribed_fields).unwrap_or_default();
    json!({
        "connectionId": connection.id.0,
        "agentId": connection.agent.as_str(),
        "status": connection.status.as_str(),
        "statusReason": row.status_reason,
        "loginKind": connection.login.as_str(),
        "instagramAccountId": connection.account.as_str(),
        "pageId": row.page_id,
        "username": row.username,
        "subscribedFields": fields,
        "settings": serde_json::to_value(&connection.settings).unwrap_or_default(),
        "connectedAt": row.connected_at.and_then(time),
        "lastEventAt": row.last_event_at.and_then(time),
        "tokenExpiresAt": row.token_expires_at.and_then(time),
        "createdAt": time(row.created_at),
    })
}

/// The links of a connected account, with their QR codes. Nothing where Graph gave no username.
pub(crate) fn entry_points(connection: &Connection, reference: Option<&str>) -> Result<Value, Problem> {
    let Some(username) = connection.row.username.as_deref() else { return Ok(Value::Null) };
    if connection.status == ConnectionStatus::Disconnected {
        return Ok(Value::Null);
    }
    let made = links::direct_message(username, reference)
        .and_then(|link| links::qr(&link))
        .and_then(|message| Ok((message, links::qr(&links::profile(username)?)?)));
    let (message, profile) = made.map_err(|err| Problem::invalid("ref", err.to_string()))?;
    Ok(json!({ "directMessage": qr(&message), "profile": qr(&profile) }))
}

fn qr(qr: &QrLink) -> Value {
    json!({ "link": qr.link, "qrSvg": qr.svg, "qrPng": qr.png_data_url })
}

/// A message of a list.
pub(crate) fn message(listed: &Listed) -> Value {
    let row = &listed.message;
    let parsed = |text: &Option<String>| -> Value {
        text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    json!({
        "messageId": row.id,
        "chatId": row.chat_id,
        "connectionId": row.connection_id,
        "instagramUserId": listed.instagram_user_id,
        "direction": row.direction,
        "author": row.author,
        "kind": row.kind,
        "text": row.text,
        "attachments": parsed(&row.attachments),
        "replyTo": parsed(&row.reply_to),
        "payload": parsed(&row.payload),
        "metadata": parsed(&row.metadata),
        "mid": row.mid,
        "status": row.status,
        "error": row.error_class.as_ref().map(|class| json!({
            "class": class, "code": row.error_code, "message": row.error_message,
        })),
        "attempts": row.attempt,
        "at": time(row.at),
        "sentAt": row.sent_at.and_then(time),
        "confirmedAt": row.confirmed_at.and_then(time),
        "readAt": row.read_at.and_then(time),
        "createdAt": time(row.created_at),
    })
}
