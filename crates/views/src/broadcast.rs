//! Broadcasts: messages for many customers.

use super::enums;
use super::format::{always, parsed, time};
use dmrelay_domain::states::{RecipientState, Skipped};
use dmrelay_store::entity::{broadcast, broadcast_recipient};
use dmrelay_store::{Audience, BroadcastCounts, Reach};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use utoipa::ToSchema;
use uuid::Uuid;

/// A message for many customers of an account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Broadcast)]
pub struct BroadcastView {
    /// The id of the broadcast.
    pub broadcast_id: Uuid,
    /// The connection it is sent with.
    pub connection_id: Uuid,
    /// What it is called.
    #[schema(example = "Summer sale")]
    pub name: String,
    /// Its state.
    #[schema(schema_with = enums::broadcast_state)]
    pub state: String,
    /// Whom it is for.
    pub audience: AudienceView,
    /// Graph's `message` object, with `{{variables}}`.
    #[schema(schema_with = enums::graph_message)]
    pub message: Value,
    /// Values for its variables.
    pub variables: BTreeMap<String, String>,
    /// The template it was made of.
    pub template_id: Option<Uuid>,
    /// The version of the template: later ones change nothing.
    pub template_version: Option<i32>,
    /// Messages a minute.
    #[schema(minimum = 1)]
    pub per_minute: u32,
    /// When it begins, unless another of the account is under way.
    #[schema(format = DateTime)]
    pub starts_at: String,
    /// Who made it, by name.
    pub actor: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it began.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it was over, or cancelled.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// How far it has come. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub progress: Option<BroadcastProgress>,
}

/// Whom a broadcast is for. What is absent or empty does not narrow it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Audience)]
pub struct AudienceView {
    /// Customers with one of these tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20, example = json!(["vip"]))]
    pub tags: Vec<String>,
    /// Customers with none of these tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20, example = json!(["complaint"]))]
    pub without_tags: Vec<String>,
    /// Customers who speak one of these languages: tags of BCP 47, as set with `PATCH …/chats/{chatId}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20, example = json!(["de"]))]
    pub languages: Vec<String>,
    /// Customers who wrote last at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    pub active_since: Option<String>,
    /// Customers who wrote last before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    pub active_before: Option<String>,
}

/// How far a broadcast has come, in numbers of customers.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BroadcastProgress {
    /// Whether all of the audience are counted: only once it has begun.
    pub complete: bool,
    /// All of the audience.
    pub recipients: u64,
    /// Not told yet.
    pub pending: u64,
    /// The message is on its way.
    pub queued: u64,
    /// Graph accepted the message.
    pub sent: u64,
    /// The message will not be sent.
    pub failed: u64,
    /// Whether the message was sent cannot be found out. It is not sent again.
    pub unknown: u64,
    /// Spared.
    pub skipped: u64,
    /// Those that were spared, by reason.
    pub skipped_reasons: SkippedReasons,
}

/// Why customers are spared, in numbers of customers.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkippedReasons {
    /// They want no broadcasts.
    pub opted_out: u64,
    /// Meta's 24 hours since their last message are over.
    pub window_closed: u64,
    /// A human agent has the chat.
    pub human_answers: u64,
    /// The chat agent is answering them.
    pub agent_answers: u64,
    /// A variable has no value for them, or Meta would not take the message with theirs.
    pub not_filled: u64,
    /// Their chat is gone.
    pub gone: u64,
}

/// Whom a broadcast would reach now.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReachView {
    /// All of the audience.
    pub recipients: u64,
    /// Who would be sent the message.
    pub ready: u64,
    /// Who of those has no name that is known: a message with `{{name}}` or `{{username}}` skips them unless `variables` has it.
    pub unnamed: u64,
    /// Who would be spared, or told later.
    pub skipped: u64,
    /// Those, by reason.
    pub skipped_reasons: SkippedReasons,
}

/// What became of a broadcast for one customer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BroadcastRecipient)]
pub struct RecipientView {
    /// The chat of the customer.
    pub chat_id: Uuid,
    /// What became of it.
    #[schema(schema_with = enums::recipient_state)]
    pub state: String,
    /// Why the customer was spared, or is not told yet.
    #[schema(schema_with = enums::skipped_or_null)]
    pub reason: Option<String>,
    /// The message, once there is one.
    pub message_id: Option<Uuid>,
    /// When that was decided.
    #[schema(format = DateTime)]
    pub at: String,
}

impl BroadcastView {
    /// The view of a row.
    pub fn of(row: &broadcast::Model, counts: Option<&BroadcastCounts>) -> Self {
        let audience: Audience = serde_json::from_str(&row.audience).unwrap_or_default();
        Self {
            broadcast_id: row.id.0,
            connection_id: row.connection_id.0,
            name: row.name.clone(),
            state: row.state.to_string(),
            audience: AudienceView::of(audience),
            message: parsed(Some(&row.message)),
            variables: serde_json::from_str(&row.variables).unwrap_or_default(),
            template_id: row.template_id.map(|id| id.0),
            template_version: row.template_version,
            per_minute: u32::try_from(60_000_000 / row.interval_us.max(1)).unwrap_or(u32::MAX),
            starts_at: always(row.starts_at),
            actor: row.actor.clone(),
            created_at: always(row.created_at),
            started_at: row.started_at.and_then(time),
            finished_at: row.finished_at.and_then(time),
            progress: counts.map(|counts| BroadcastProgress::of(row, counts)),
        }
    }
}

impl AudienceView {
    fn of(audience: Audience) -> Self {
        let Audience { tags, without_tags, languages, active_since, active_before } = audience;
        let (active_since, active_before) = (active_since.and_then(time), active_before.and_then(time));
        Self { tags, without_tags, languages, active_since, active_before }
    }
}

impl BroadcastProgress {
    fn of(row: &broadcast::Model, counts: &BroadcastCounts) -> Self {
        let of = |state| counts.states.get(&state).copied().unwrap_or(0);
        Self {
            complete: row.collected,
            recipients: counts.states.values().sum(),
            pending: of(RecipientState::Pending),
            queued: of(RecipientState::Queued),
            sent: of(RecipientState::Sent),
            failed: of(RecipientState::Failed),
            unknown: of(RecipientState::Unknown),
            skipped: of(RecipientState::Skipped),
            skipped_reasons: SkippedReasons::of(&counts.skipped),
        }
    }
}

impl SkippedReasons {
    fn of(counts: &HashMap<Skipped, u64>) -> Self {
        let of = |why| counts.get(&why).copied().unwrap_or(0);
        Self {
            opted_out: of(Skipped::OptedOut),
            window_closed: of(Skipped::WindowClosed),
            human_answers: of(Skipped::HumanAnswers),
            agent_answers: of(Skipped::AgentAnswers),
            not_filled: of(Skipped::NotFilled),
            gone: of(Skipped::Gone),
        }
    }
}

impl From<&Reach> for ReachView {
    fn from(reach: &Reach) -> Self {
        let skipped = reach.spared.values().sum();
        Self {
            recipients: reach.ready + skipped,
            ready: reach.ready,
            unnamed: reach.unnamed,
            skipped,
            skipped_reasons: SkippedReasons::of(&reach.spared),
        }
    }
}

impl RecipientView {
    /// The view of a row.
    pub fn of(row: &broadcast_recipient::Model) -> Self {
        Self {
            chat_id: row.chat_id.0,
            state: row.state.to_string(),
            reason: row.reason.as_ref().map(ToString::to_string),
            message_id: row.message_id.map(|id| id.0),
            at: always(row.at),
        }
    }
}
