//! What people do in a conversation: write, take over, give back. Answers are fragments for scripts, and pages without them.

use super::call::Call;
use super::demo::{Demo, DemoDeed, DemoTrouble};
use super::pages;
use super::visitor::Visitor;
use super::{html, trouble};
use crate::bodies::{self, Unread};
use crate::extract::{Id, Params};
use crate::idempotency;
use crate::problem::Problem;
use crate::routes::ids;
use crate::services::send::{self, Sent, Wanted, What};
use crate::services::takeover::{self, For};
use crate::services::{chats, reactions, read, uploads};
use crate::state::ApiState;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use dmrelay_console::{Markup, Place, bubble, head, row, words};
use dmrelay_domain::ids::{ChatId, ConnectionId, InstagramUserId, MessageId, TemplateId};
use dmrelay_domain::outgoing::Outgoing;
use dmrelay_domain::permission::Permission;
use dmrelay_domain::trace::TraceId;
use dmrelay_store::Connection;
use dmrelay_store::entity::{chat, message};
use dmrelay_views::MessageView;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// Maximum number of hours that the demo's conversation is aged by at once.
const HOURS_MAX: u32 = 24 * 7;

/// The conversations.
const INBOX: &str = "/console/inbox";

#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields {
    pub(super) text: Option<String>,
    hours: Option<u32>,
    #[serde(default)]
    until_released: bool,
    /// A saved message, in place of a text.
    template: Option<Uuid>,
    /// The message that it replies to, or that is reacted to.
    #[serde(default)]
    reply_to: String,
    message: Option<Uuid>,
    reaction: Option<String>,
    pub(super) assignee: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) untag: Option<String>,
    /// For so many hours; none ends a snooze.
    pub(super) snooze: Option<u32>,
    /// What the customer of the demo does, with what they tap, and what goes wrong there.
    deed: Option<String>,
    payload: Option<String>,
    trouble: Option<String>,
    on: Option<bool>,
}

/// A conversation, and who acts in it.
pub(super) struct Act<'a> {
    pub(super) state: &'a ApiState,
    pub(super) visitor: &'a Visitor,
    /// All of the subaccount.
    pub(super) connections: Vec<ConnectionId>,
    pub(super) connection: Connection,
    pub(super) row: chat::Model,
    /// Where the person is in the inbox.
    pub(super) place: Place,
}

impl<'a> Act<'a> {
    /// The conversation, if the person may do this in it.
    pub(super) async fn begin(
        call: &'a Call<Fields>,
        permission: Permission,
        id: ChatId,
    ) -> Result<Self, Problem> {
        let Call { state, visitor, headers, .. } = call;
        visitor.require(permission)?;
        Self::find(state, visitor, headers, id).await
    }

    async fn find(
        state: &'a ApiState,
        visitor: &'a Visitor,
        headers: &HeaderMap,
        id: ChatId,
    ) -> Result<Self, Problem> {
        let all = state.store.connections(&visitor.subaccount, None).await?;
        let connections = ids(&all);
        let row = pages::find(state, &connections, id).await?;
        let connection = all.into_iter().find(|one| one.id == row.connection_id);
        let connection = connection.ok_or_else(|| Problem::not_found("the chat's connection is gone"))?;
        let place = Place { has_accounts: connections.len() > 1, ..place(headers) };
        Ok(Self { state, visitor, connections, connection, row, place })
    }

    /// Sends a message in it, once for each key, and shows it.
    async fn send(
        &self,
        what: What,
        reply_to: Option<MessageId>,
        (headers, trace): (&HeaderMap, TraceId),
    ) -> Result<Markup, Problem> {
        let to = InstagramUserId::parse(&self.row.instagram_user_id)
            .map_err(|_| Problem::not_found("the chat's customer cannot be read"))?;
        let wanted = Wanted { to, what, reply_to, key: idempotency::key(headers)?, sent_by: None };
        if let Some(before) = send::sent_before(self.state, &self.connection, &wanted).await? {
            return Ok(shown(self, &before));
        }
        let by = (self.visitor.actor.clone(), trace);
        match send::send(self.state, (&self.connection, &self.row), wanted, by).await? {
            Sent::Before(before) => Ok(shown(self, &before)),
            Sent::Now(message) => match self.state.store.message(message).await? {
                Some(message) => Ok(shown(self, &message)),
                None => Err(Problem::not_found("the message is gone")),
            },
        }
    }

    /// What has changed: the head of the conversation, and its row in the list.
    async fn changed(&self, row: &chat::Model) -> Result<Markup, Problem> {
        let chat = chats::view(self.state, &self.visitor.actor, row).await?;
        let head = head(&self.visitor.person(), &chat, &self.place.address(None));
        Ok(maud::html! { (head) (self::row(&self.place, &chat, true)) })
    }
}

/// Where the script says that the person is.
fn place(headers: &HeaderMap) -> Place {
    let told = headers.get("x-place").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut place = Place { folder: "all".to_owned(), ..Place::default() };
    for (name, value) in url::form_urlencoded::parse(told.as_bytes()) {
        match name.as_ref() {
            "folder" => place.folder = value.into_owned(),
            "q" => place.q = value.into_owned(),
            _ => {}
        }
    }
    place
}

/// `POST /console/chats/{chatId}/send`.
pub(super) async fn send(Id(id): Id<ChatId>, call: Call<Fields>) -> Response {
    let sending = async {
        let act = Act::begin(&call, Permission::Send, id).await?;
        let what = if let Some(id) = call.fields.template {
            What::Template { id: TemplateId(id), variables: BTreeMap::new() }
        } else {
            let text = call.fields.text.as_deref().unwrap_or_default().trim();
            let outgoing = Outgoing::text(&dmrelay_domain::text::clean(text));
            What::Message(outgoing.map_err(|err| send::faults("/text", err))?)
        };
        act.send(what, replied(&call.fields.reply_to)?, (&call.headers, call.trace)).await
    };
    call.answer(sending.await, &address(id))
}

/// The message that a form replies to; none if it is empty.
fn replied(id: &str) -> Result<Option<MessageId>, Problem> {
    let id = Some(id).filter(|id| !id.is_empty());
    let id =
        id.map(|id| id.parse().map_err(|_| Problem::invalid("/reply_to", "must be the id of a message")));
    Ok(id.transpose()?.map(MessageId))
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Attached {
    #[serde(default)]
    reply_to: String,
}

/// `POST /console/chats/{chatId}/attach`: the body is a file, which is uploaded and sent.
pub(super) async fn attach(
    State(state): State<ApiState>,
    visitor: Visitor,
    Id(id): Id<ChatId>,
    Params(attached): Params<Attached>,
    headers: HeaderMap,
    trace: Option<Extension<TraceId>>,
    body: Body,
) -> Response {
    let sending = async {
        visitor.check_form(&headers, None)?;
        visitor.require(Permission::Send)?;
        let act = Act::find(&state, &visitor, &headers, id).await?;
        let limits = &state.options.limits.uploads;
        let mut share = state.upload_bodies.share(visitor.subaccount.to_string());
        let whole =
            bodies::read((&headers, body), limits.upload_bytes_max, limits.upload_body_timeout, &mut share);
        let bytes = whole.await.map_err(Unread::problem)?;
        let (upload, _) = uploads::upload(&state, &act.connection, bytes).await?;
        let attachment = json!({ "type": upload.kind, "payload": { "attachment_id": upload.attachment_id } });
        let outgoing = Outgoing::from_json(&json!({ "attachment": attachment }));
        let what = What::Message(outgoing.map_err(|err| send::faults("", err))?);
        let trace = trace.map_or_else(TraceId::random, |Extension(trace)| trace);
        act.send(what, replied(&attached.reply_to)?, (&headers, trace)).await
    };
    sending.await.map_or_else(|problem: Problem| trouble(&problem), html)
}

/// `POST /console/chats/{chatId}/react`.
pub(super) async fn react(Id(id): Id<ChatId>, call: Call<Fields>) -> Response {
    let reacting = async {
        let act = Act::begin(&call, Permission::Send, id).await?;
        let missing = || Problem::not_found("there is no such message in this conversation");
        let message = MessageId(call.fields.message.ok_or_else(missing)?);
        let row =
            act.state.store.message(message).await?.filter(|row| row.chat_id == id).ok_or_else(missing)?;
        let reaction = call.fields.reaction.clone();
        let reacted =
            reactions::react(act.state, &act.connection, (&act.row, &row), reaction, &act.visitor.actor)
                .await?;
        Ok(shown(&act, &reacted))
    };
    call.answer(reacting.await, &address(id))
}

fn shown(act: &Act<'_>, message: &message::Model) -> Markup {
    bubble(&MessageView::of_user(message, &act.row.instagram_user_id))
}

/// `POST /console/chats/{chatId}/takeover`.
pub(super) async fn take_over(Id(id): Id<ChatId>, call: Call<Fields>) -> Response {
    let taking = async {
        let act = Act::begin(&call, Permission::TakeOver, id).await?;
        let Fields { hours, until_released, .. } = call.fields;
        let lasts = For::asked(hours, until_released);
        let actor = &act.visitor.actor;
        let taken = takeover::take_over(act.state, &act.connection, act.row.id, actor, lasts).await?;
        act.changed(&taken).await
    };
    call.answer(taking.await, &address(id))
}

/// `POST /console/chats/{chatId}/release`.
pub(super) async fn release(Id(id): Id<ChatId>, call: Call<Fields>) -> Response {
    let releasing = async {
        let act = Act::begin(&call, Permission::TakeOver, id).await?;
        let released = takeover::release(act.state, &act.connection, act.row.id, &act.visitor.actor).await?;
        act.changed(&released).await
    };
    call.answer(releasing.await, &address(id))
}

/// `POST /console/chats/{chatId}/read`: the person has seen what came while the conversation was open.
pub(super) async fn read(Id(id): Id<ChatId>, call: Call<Fields>) -> Response {
    let reading = async {
        let act = Act::begin(&call, Permission::Read, id).await?;
        read::read(act.state, &act.row, (&act.visitor.actor, act.visitor.may(Permission::Send)), None)
            .await?;
        Ok(maud::html! {})
    };
    call.answer(reading.await, &address(id))
}

/// `POST /console/demo/say`: the customer of the demo writes, or does something else.
pub(super) async fn say(call: Call<Fields>) -> Response {
    let acting = || {
        let text = call.fields.text.as_deref().unwrap_or_default().trim();
        demo(&call)?.customer.act(match call.fields.deed.as_deref() {
            Some("photo") => DemoDeed::Photo,
            Some("voice") => DemoDeed::Voice,
            Some("story") => DemoDeed::StoryReply("That looks great!".to_owned()),
            Some("heart") => DemoDeed::Heart,
            Some("unsend") => DemoDeed::Unsend,
            Some("comment") => DemoDeed::Comment(words::DEMO_COMMENT.to_owned()),
            Some(deed @ ("postback" | "quick_reply")) => {
                let (title, payload) = (text.to_owned(), call.fields.payload.clone().unwrap_or_default());
                if deed == "postback" {
                    DemoDeed::Tap { title, payload }
                } else {
                    DemoDeed::QuickReply { title, payload }
                }
            }
            None if !text.is_empty() => DemoDeed::Text(text.to_owned()),
            _ => return Err(Problem::invalid("/text", "must not be empty")),
        });
        Ok(maud::html! {})
    };
    call.answer(acting(), INBOX)
}

/// `POST /console/demo/trouble`: something goes wrong in the demo from now on, or no longer.
pub(super) async fn make_trouble(call: Call<Fields>) -> Response {
    let making = || {
        let demo = demo(&call)?;
        let wanted = call.fields.trouble.as_deref().and_then(DemoTrouble::parse);
        let wanted = wanted.ok_or_else(|| Problem::invalid("/trouble", "must be one of the demo"))?;
        demo.customer.trouble(wanted, call.fields.on.unwrap_or(true));
        Ok(dmrelay_console::troubles(&call.visitor.person(), &demo.customer.troubles()))
    };
    call.answer(making(), INBOX)
}

/// `POST /console/demo/pass`: hours go by for the conversation of the demo.
pub(super) async fn let_pass(call: Call<Fields>) -> Response {
    let passing = async {
        let Call { state, visitor, fields, .. } = &call;
        let demo = demo(&call)?;
        let hours = fields.hours.filter(|hours| (1..=HOURS_MAX).contains(hours));
        let hours = hours.ok_or_else(|| Problem::invalid("/hours", format!("must be 1 to {HOURS_MAX}")))?;
        let user = InstagramUserId::parse(demo.customer.user())
            .map_err(|_| Problem::not_found("the customer of the demo"))?;
        for connection in state.store.connections(&visitor.subaccount, None).await? {
            let is_theirs = connection.row.username.as_deref() == Some(demo.customer.account());
            let chat = if is_theirs { state.store.chat_of_user(connection.id, &user).await? } else { None };
            if let Some(chat) = chat {
                let time = Duration::from_hours(u64::from(hours));
                state.store.let_pass(chat.id, time).await?;
                demo.customer.let_pass(time);
                return Ok(dmrelay_console::reload());
            }
        }
        Err(Problem::not_found("the customer has not written yet: write something first"))
    };
    call.answer(passing.await, INBOX)
}

fn demo(call: &Call<Fields>) -> Result<&Demo, Problem> {
    call.state.options.demo.as_ref().ok_or_else(|| Problem::not_found("this is not the demo"))
}

/// Where a conversation is shown.
pub(super) fn address(ChatId(id): ChatId) -> String {
    format!("{INBOX}?chat={id}")
}
