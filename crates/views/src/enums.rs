//! The enum values used in responses, as schemas.

use dmrelay_domain::conversation::{HANDOVER, RUNAWAY};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::media::MediaState;
use dmrelay_domain::notification::{Channel, IncidentKind, NotificationState, NotificationType};
use dmrelay_domain::permission::{Permission, Role};
use dmrelay_domain::settings::RuleAction;
use dmrelay_domain::states::{
    ActivityKind, AgentChatStatus, Author, BroadcastState, ChatMode, ChatSort, CheckName, CheckState,
    CommentKind, CommentState, ConnectSessionStatus, ConnectionStatus, DeedState, Direction, Folder,
    LoginKind, MessageStatus, PageChoice, RecipientState, Skipped, TurnState,
};
use dmrelay_store::Call;
use serde_json::Value;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};

macro_rules! schemas {
    ($($name:ident: $words:ty,)+) => {
        $(#[doc = concat!("The values of `", stringify!($words), "`.")]
        pub fn $name() -> ObjectBuilder {
            one_of(<$words>::ALL.iter().map(|word| word.as_str()))
        })+
    };
}

schemas! {
    connection_status: ConnectionStatus,
    login_kind: LoginKind,
    connect_session_status: ConnectSessionStatus,
    check_name: CheckName,
    check_state: CheckState,
    chat_mode: ChatMode,
    agent_chat_status: AgentChatStatus,
    folder: Folder,
    chat_sort: ChatSort,
    direction: Direction,
    author: Author,
    message_status: MessageStatus,
    turn_state: TurnState,
    activity_kind: ActivityKind,
    failure_class: FailureClass,
    role: Role,
    incident_kind: IncidentKind,
    notification_channel: Channel,
    notification_type: NotificationType,
    notification_state: NotificationState,
    media_state: MediaState,
    rule_action: RuleAction,
    comment_kind: CommentKind,
    comment_state: CommentState,
    deed_state: DeedState,
    broadcast_state: BroadcastState,
    recipient_state: RecipientState,
}

/// Whether an incident lasts.
pub const INCIDENT_STATES: [&str; 2] = ["open", "resolved"];

/// Whether an incident lasts.
pub fn incident_state() -> ObjectBuilder {
    one_of(INCIDENT_STATES.into_iter())
}

/// The roles of sessions.
pub fn session_role() -> ObjectBuilder {
    one_of([Role::Viewer, Role::Operator, Role::Admin].iter().map(|role| role.as_str()))
}

/// Permissions.
pub fn permission() -> ObjectBuilder {
    one_of(Permission::ALL.iter().map(|permission| permission.as_str()))
}

/// A list of permissions.
pub fn permissions() -> ArrayBuilder {
    ArrayBuilder::new().items(permission())
}

/// The tags of a chat.
pub fn tags() -> ArrayBuilder {
    let tag = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .min_length(Some(1))
        .max_length(Some(50));
    ArrayBuilder::new().items(tag).max_items(Some(20))
}

/// A list of kinds of incidents.
pub fn incident_kinds() -> ArrayBuilder {
    ArrayBuilder::new().items(incident_kind())
}

/// The same, or null.
pub fn incident_kinds_or_null() -> ArrayBuilder {
    incident_kinds().schema_type(SchemaType::Array(vec![Type::Array, Type::Null]))
}

/// Whether human agents and the agent may still write.
pub fn window() -> ObjectBuilder {
    one_of(["open", "human_agent", "closed"].into_iter())
}

/// What failed.
pub fn dead_letter_kind() -> ObjectBuilder {
    one_of(["event", "turn", "message"].into_iter())
}

/// The state of a dead letter.
pub fn dead_letter_state() -> ObjectBuilder {
    one_of(["open", "replayed", "discarded"].into_iter())
}

/// Why a human agent cannot write, or null.
pub fn send_refusal_or_null() -> ObjectBuilder {
    or_null(one_of(["window_closed", "not_connected"].into_iter()))
}

/// Why a chat waits for a human agent, or null.
pub fn human_reason_or_null() -> ObjectBuilder {
    or_null(one_of(["failed", "window_closed", "runaway", "handover", "waiting"].into_iter()))
}

/// Why chats need a human's attention.
pub fn flag() -> ObjectBuilder {
    one_of(FailureClass::ALL.iter().map(|class| class.as_str()).chain([HANDOVER, RUNAWAY]))
}

/// Why chats need a human's attention, or null.
pub fn flag_or_null() -> ObjectBuilder {
    or_null(flag())
}

/// Calls that can be paused.
pub fn paused_call() -> ObjectBuilder {
    one_of(Call::ALL.into_iter().map(Call::as_str))
}

/// What calls are paused of.
pub fn pause_scope() -> ObjectBuilder {
    one_of(["all", "subaccount", "account"].into_iter())
}

/// Who may resume paused calls.
pub fn pause_owner() -> ObjectBuilder {
    one_of(["operator", "subaccount"].into_iter())
}

/// Failure classes, or null.
pub fn failure_class_or_null() -> ObjectBuilder {
    or_null(failure_class())
}

/// States of checks, or null.
pub fn check_state_or_null() -> ObjectBuilder {
    or_null(check_state())
}

/// Statuses of messages, or null.
pub fn message_status_or_null() -> ObjectBuilder {
    or_null(message_status())
}

/// How a turn or a dead letter ended, or null.
pub fn outcome_or_null() -> ObjectBuilder {
    let turns = TurnState::ALL.iter().map(|state| state.as_str());
    let ended = turns.filter(|state| !matches!(*state, "asking" | "reconciling" | "waiting"));
    or_null(one_of(ended.chain(["replayed", "discarded"])))
}

/// Meta's logins, or null.
pub fn login_kind_or_null() -> ObjectBuilder {
    or_null(login_kind())
}

/// Who asks for the choice of a Page, or null.
pub fn page_choice_or_null() -> ObjectBuilder {
    or_null(one_of(PageChoice::ALL.iter().map(|choice| choice.as_str())))
}

/// What can be done with the ownership of a conversation at Meta.
pub fn thread_action() -> ObjectBuilder {
    one_of(["take", "release", "escalate"].into_iter())
}

/// The links through which customers reach an account.
pub fn entry_point() -> ObjectBuilder {
    one_of(["direct_message", "profile"].into_iter())
}

/// The kinds of pictures.
pub fn picture_format() -> ObjectBuilder {
    one_of(["svg", "png"].into_iter())
}

/// Values of the agent's dynamic variables by name, or null.
pub fn agent_variables_or_null() -> ObjectBuilder {
    let text = || ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    ObjectBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::Object, Type::Null]))
        .property_names(Some(text().pattern(Some("^[A-Za-z0-9_]{1,64}$"))))
        .additional_properties(Some(text().max_length(Some(1_000))))
        .max_properties(Some(50))
        .description(Some(
            "Values for the agent's dynamic variables, by name; they replace all existing ones.",
        ))
}

/// The forms in which usage is given.
pub fn usage_format() -> ObjectBuilder {
    one_of(["json", "csv"].into_iter())
}

/// How far an overview looks back.
pub fn overview_range() -> ObjectBuilder {
    one_of(crate::Range::ALL.into_iter().map(crate::Range::as_str))
}

/// What is called.
pub fn overview_breaker() -> ObjectBuilder {
    one_of(["instagram", "agent"].into_iter())
}

/// Why a chat is in its mode, or null.
pub fn mode_reason_or_null() -> ObjectBuilder {
    or_null(one_of(["api", "send", "echo", "person", RUNAWAY, HANDOVER].into_iter()))
}

/// Who has a conversation at Meta.
pub fn thread_owner() -> ObjectBuilder {
    one_of(["this_app", "instagram_inbox", "page_inbox", "other_app", "nobody", "unknown"].into_iter())
}

/// The periods of budgets.
pub fn budget_period() -> ObjectBuilder {
    one_of(["hour", "day"].into_iter())
}

/// As what a file is sent.
pub fn upload_kind() -> ObjectBuilder {
    one_of(UPLOADS.into_iter())
}

/// What copies are kept of.
pub fn medium_kind() -> ObjectBuilder {
    one_of(UPLOADS.into_iter().chain(["media", "sticker", "profile"]))
}

const UPLOADS: [&str; 4] = ["image", "video", "audio", "file"];

/// Why a comment has no private reply.
pub const COMMENT_REASONS: [&str; 5] = ["too_old", "twin", "human_answers", "disconnected", "no_answer"];

/// Why a comment has no private reply, or null.
pub fn comment_reason_or_null() -> ObjectBuilder {
    or_null(one_of(COMMENT_REASONS.into_iter()))
}

/// Why conversations are read, or null.
pub fn backfill_reason_or_null() -> ObjectBuilder {
    or_null(one_of(["resubscribed", "refused", "downtime", "silence", "import", "beat"].into_iter()))
}

/// Graph's `message` object.
pub fn graph_message() -> Ref {
    Ref::from_schema_name("GraphMessage")
}

/// The same, or null.
pub fn graph_message_or_null() -> Schema {
    ref_or_null("GraphMessage")
}

/// The attachments of a message, or null.
pub fn attachments_or_null() -> ArrayBuilder {
    ArrayBuilder::new()
        .items(Ref::from_schema_name("Attachment"))
        .schema_type(SchemaType::Array(vec![Type::Array, Type::Null]))
}

/// What a message replies to, or null.
pub fn reply_to_or_null() -> Schema {
    ref_or_null("ReplyTo")
}

/// The metadata of a message, or null.
pub fn message_metadata_or_null() -> Schema {
    ref_or_null("MessageMetadata")
}

fn ref_or_null(name: &str) -> Schema {
    let null = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Null));
    OneOfBuilder::new().item(null).item(Ref::from_schema_name(name)).build().into()
}

/// What became of a deed, or null.
pub fn deed_state_or_null() -> ObjectBuilder {
    or_null(deed_state())
}

/// Why customers are spared, or null.
pub fn skipped_or_null() -> ObjectBuilder {
    or_null(one_of(Skipped::ALL.iter().map(|why| why.as_str())))
}

/// Kinds of dead letters, or null.
pub fn dead_letter_kind_or_null() -> ObjectBuilder {
    or_null(dead_letter_kind())
}

/// The same values, or null.
pub fn or_null(words: ObjectBuilder) -> ObjectBuilder {
    let mut object = words.build();
    let values = object.enum_values.take().unwrap_or_default().into_iter().chain([Value::Null]);
    ObjectBuilder::from(object)
        .schema_type(SchemaType::Array(vec![Type::String, Type::Null]))
        .enum_values(Some(values))
}

/// A schema of enum values.
pub fn one_of(words: impl Iterator<Item = &'static str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).enum_values(Some(words))
}
