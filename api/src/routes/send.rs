//! `POST …/send`: a human agent writes to a customer. The message goes through the same outbox as the
//! agent's, and the agent falls silent in that chat.

use super::select;
use crate::access::{Credential, Scope};
use crate::extract::Body;
use crate::idempotency;
use crate::problem::{Problem, ValidationErrors};
use crate::services::{
    self,
    send::{Sent, Wanted, What, sent_before},
};
use crate::state::ApiState;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use dmrelay_domain::ids::{ChatId, ConnectionId, InstagramUserId, MessageId, TemplateId};
use dmrelay_domain::states::MessageStatus;
use dmrelay_domain::trace::TraceId;
use dmrelay_store::Connection;
use dmrelay_store::entity::message;
use dmrelay_views::enums;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// A message to a customer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Send {
    /// The Instagram user, who must have written before.
    #[schema(pattern = "^[0-9]{1,32}$", example = "200000000000001")]
    instagram_user_id: String,
    /// A text of at most 1,000 bytes, or Graph's own `message` object: a `text` with or without `quick_replies`; an `attachment`, which is
    /// an image, video, audio or PDF by https `url` or `attachment_id`, a `template`, a `like_heart` or a `MEDIA_SHARE`; or several images as
    /// `attachments`. The guide to messages has each kind with its limits.
    #[schema(schema_with = message_schema)]
    message: Option<Value>,
    /// A saved message, in place of `message`.
    template_id: Option<Uuid>,
    /// The values of its variables. `name` and `username` are the customer's if they are not given.
    #[serde(default)]
    #[schema(example = json!({"order": "4711"}))]
    variables: BTreeMap<String, String>,
    /// The `messageId` of the message that it replies to.
    reply_to: Option<Uuid>,
    /// The connection; required if the agent has several.
    connection_id: Option<Uuid>,
    /// The person who wrote it, by name, where one key serves several: shown with the message and in the activity log. Not with the token of a session, which is one person's.
    #[schema(min_length = 1, max_length = 100, example = "Anna Berg")]
    sent_by: Option<String>,
}

/// A message that will be sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accepted {
    message_id: Uuid,
    chat_id: Uuid,
    #[schema(schema_with = enums::message_status)]
    status: String,
}

pub(super) fn message_schema() -> utoipa::openapi::schema::Schema {
    use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, SchemaType, Type};
    let text = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .min_length(Some(1))
        .max_length(Some(1_000));
    OneOfBuilder::new()
        .item(text)
        .item(enums::graph_message())
        .description(Some("A text, or Graph's `message` object."))
        .examples([serde_json::json!("Your parcel is on its way.")])
        .build()
        .into()
}

/// Sends a message to a customer as a human agent
///
/// Puts the message into the chat's outbox; the agent falls silent in that chat. With an `Idempotency-Key`
/// the message is sent once, however often the call is repeated.
#[utoipa::path(post, path = "/send", tag = "Takeover", operation_id = "sendMessage", request_body = Send,
    responses(
        (status = 202, description = "The message will be sent", body = Accepted),
        (status = 409, description = "The account cannot send now, or the window is closed"),
    ))]
pub(super) async fn send(
    State(state): State<ApiState>,
    scope: Scope,
    Extension(trace): Extension<TraceId>,
    Extension(credential): Extension<Credential>,
    headers: HeaderMap,
    Body(request): Body<Send>,
) -> Result<Response, Problem> {
    if request.sent_by.is_some() && matches!(credential, Credential::Session(_)) {
        return Err(Problem::invalid("/sentBy", "is for API keys: a session names its own person"));
    }
    let wanted = check(&request, &headers)?;
    // Checked before anything that may have changed since: a repeated call gets the first call's response.
    for connection in candidates(&state, &scope, request.connection_id).await? {
        if let Some(before) = sent_before(&state, &connection, &wanted).await? {
            return Ok(accepted_before(&before));
        }
    }
    let connection = select(&state, &scope, request.connection_id).await?;
    services::send::check_connected(&connection)?;
    let Some(chat) = state.store.chat_of_user(connection.id, &wanted.to).await? else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-recipient",
            "This user has not written to the account",
        )
        .detail("Instagram delivers messages only to users who have written first"));
    };
    match services::send::send(&state, (&connection, &chat), wanted, (scope.actor, trace)).await? {
        Sent::Now(message) => Ok(accepted(message, chat.id, MessageStatus::Queued.as_str())),
        Sent::Before(before) => Ok(accepted_before(&before)),
    }
}

fn check(request: &Send, headers: &HeaderMap) -> Result<Wanted, Problem> {
    let mut errors = ValidationErrors::default();
    let to = InstagramUserId::parse(&request.instagram_user_id).map_err(|err| err.why);
    let to = errors.check("/instagramUserId", to);
    let what = match (&request.message, request.template_id) {
        (Some(message), None) => {
            services::send::message_of(message, "/message", &mut errors).map(What::Message)
        }
        (None, Some(id)) => Some(What::Template { id: TemplateId(id), variables: request.variables.clone() }),
        (Some(_), Some(_)) => {
            errors.at("/templateId", "cannot be given together with message");
            None
        }
        (None, None) => {
            errors.at("/message", "is required, unless templateId is given");
            None
        }
    };
    if let Some(name) = request.sent_by.as_deref() {
        errors.check("/sentBy", services::keys::checked_name(name));
    }
    errors.end()?;
    let key = idempotency::key(headers)?;
    let reply_to = request.reply_to.map(MessageId);
    let (to, what) = to.zip(what).ok_or_else(|| Problem::invalid("", "is not valid"))?;
    Ok(Wanted { to, what, reply_to, key, sent_by: request.sent_by.clone() })
}

/// Chats in which the call's idempotency key may have been used.
async fn candidates(
    state: &ApiState,
    scope: &Scope,
    named: Option<Uuid>,
) -> Result<Vec<Connection>, Problem> {
    let mut all = super::all(state, scope).await?;
    all.retain(|connection| named.is_none_or(|named| connection.id == ConnectionId(named)));
    Ok(all)
}

/// The answer to a call that was made before.
fn accepted_before(before: &message::Model) -> Response {
    let mut response = accepted(before.id, before.chat_id, before.status.as_str());
    idempotency::mark_replayed(&mut response);
    response
}

fn accepted(message: MessageId, chat: ChatId, status: &str) -> Response {
    let accepted = Accepted { message_id: message.0, chat_id: chat.0, status: status.to_owned() };
    (StatusCode::ACCEPTED, Json(accepted)).into_response()
}
