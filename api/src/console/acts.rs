//! What people do in a conversation: write, take over, give back. Answers are fragments for scripts, and pages without them.

use super::demo::{Demo, DemoDeed, DemoTrouble};
use super::visitor::Visitor;
use super::{go_to, html, pages, trouble};
use crate::extract::Id;
use crate::idempotency;
use crate::problem::Problem;
use crate::routes::ids;
use crate::services::send::{self, Sent, Wanted};
use crate::services::{chats, takeover};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Form};
use dmrelay_console::{Markup, Place, bubble, head, row};
use dmrelay_domain::ids::{ChatId, ConnectionId, InstagramUserId};
use dmrelay_domain::permission::Permission;
use dmrelay_domain::trace::TraceId;
use dmrelay_instagram::Outgoing;
use dmrelay_store::Connection;
use dmrelay_store::entity::{chat, message};
use dmrelay_views::MessageView;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields {
    csrf: Option<String>,
    pub(super) text: Option<String>,
    hours: Option<u32>,
    pub(super) assignee: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) untag: Option<String>,
    /// For so many hours; none ends a snooze.
    pub(super) snooze: Option<u32>,
    /// What the customer of the demo does, and what goes wrong there.
    deed: Option<String>,
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
        state: &'a ApiState,
        visitor: &'a Visitor,
        (headers, fields): (&HeaderMap, &Fields),
        (permission, id): (Permission, ChatId),
    ) -> Result<Self, Problem> {
        visitor.check_form(headers, fields.csrf.as_deref())?;
        visitor.require(permission)?;
        let all = state.store.connections(&visitor.subaccount, None).await?;
        let connections = ids(&all);
        let row = pages::find(state, &connections, id).await?;
        let connection = all.into_iter().find(|one| one.id == row.connection_id);
        let connection = connection.ok_or_else(|| Problem::not_found("the chat's connection is gone"))?;
        Ok(Self { state, visitor, connections, connection, row, place: place(headers) })
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
    let mut place = Place { folder: "all".to_owned(), q: String::new() };
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
pub(super) async fn send(
    State(state): State<ApiState>,
    visitor: Visitor,
    Extension(trace): Extension<TraceId>,
    Id(id): Id<ChatId>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let sending = async {
        let act = Act::begin(&state, &visitor, (&headers, &fields), (Permission::Send, id)).await?;
        let text =
            dmrelay_domain::text::clean(fields.text.as_deref().unwrap_or_default().trim()).into_owned();
        let outgoing = Outgoing::text(&text).map_err(|err| Problem::invalid("/text", err.what))?;
        let to = InstagramUserId::parse(&act.row.instagram_user_id)
            .map_err(|_| Problem::not_found("the chat's customer cannot be read"))?;
        let wanted = Wanted { to, outgoing, key: idempotency::key(&headers)?, sent_by: None };
        if let Some(before) = send::sent_before(&state, &act.connection, &wanted).await? {
            return Ok(shown(&act, &before));
        }
        let by = (visitor.actor.clone(), trace);
        match send::send(&state, (&act.connection, &act.row), wanted, by).await? {
            Sent::Before(before) => Ok(shown(&act, &before)),
            Sent::Now(message) => match state.store.message(message).await? {
                Some(message) => Ok(shown(&act, &message)),
                None => Err(Problem::not_found("the message is gone")),
            },
        }
    };
    answered(sending.await, &headers, id)
}

fn shown(act: &Act<'_>, message: &message::Model) -> Markup {
    bubble(&MessageView::of_user(message, &act.row.instagram_user_id))
}

/// `POST /console/chats/{chatId}/takeover`.
pub(super) async fn take_over(
    State(state): State<ApiState>,
    visitor: Visitor,
    Id(id): Id<ChatId>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let taking = async {
        let act = Act::begin(&state, &visitor, (&headers, &fields), (Permission::TakeOver, id)).await?;
        let actor = &visitor.actor;
        let taken = takeover::take_over(&state, &act.connection, act.row.id, actor, fields.hours).await?;
        act.changed(&taken).await
    };
    answered(taking.await, &headers, id)
}

/// `POST /console/chats/{chatId}/release`.
pub(super) async fn release(
    State(state): State<ApiState>,
    visitor: Visitor,
    Id(id): Id<ChatId>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let releasing = async {
        let act = Act::begin(&state, &visitor, (&headers, &fields), (Permission::TakeOver, id)).await?;
        let released = takeover::release(&state, &act.connection, act.row.id, &visitor.actor).await?;
        act.changed(&released).await
    };
    answered(releasing.await, &headers, id)
}

/// `POST /console/chats/{chatId}/read`: the person has seen what came while the conversation was open.
pub(super) async fn read(
    State(state): State<ApiState>,
    visitor: Visitor,
    Id(id): Id<ChatId>,
    headers: HeaderMap,
) -> Response {
    let reading = async {
        let fields = Fields::default();
        let act = Act::begin(&state, &visitor, (&headers, &fields), (Permission::Read, id)).await?;
        state.store.mark_read(&act.row, visitor.actor.key(), None).await?;
        Ok(maud::html! {})
    };
    answered(reading.await, &headers, id)
}

/// `POST /console/demo/say`: the customer of the demo writes, or does something else.
pub(super) async fn say(
    State(state): State<ApiState>,
    visitor: Visitor,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let acting = || {
        let demo = demo(&state, &visitor, (&headers, &fields))?;
        let text = fields.text.as_deref().unwrap_or_default().trim();
        demo.customer.act(match fields.deed.as_deref() {
            Some("photo") => DemoDeed::Photo,
            Some("voice") => DemoDeed::Voice,
            Some("story") => DemoDeed::StoryReply("That looks great!".to_owned()),
            Some("heart") => DemoDeed::Heart,
            Some("unsend") => DemoDeed::Unsend,
            None if !text.is_empty() => DemoDeed::Text(text.to_owned()),
            _ => return Err(Problem::invalid("/text", "must not be empty")),
        });
        Ok(())
    };
    match acting() {
        Err(problem) => trouble(&problem),
        Ok(()) if headers.contains_key("x-fragment") => StatusCode::NO_CONTENT.into_response(),
        Ok(()) => go_to("/console/inbox"),
    }
}

/// `POST /console/demo/trouble`: something goes wrong in the demo from now on, or no longer.
pub(super) async fn make_trouble(
    State(state): State<ApiState>,
    visitor: Visitor,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let making = || {
        let demo = demo(&state, &visitor, (&headers, &fields))?;
        let wanted = fields.trouble.as_deref().and_then(DemoTrouble::parse);
        let wanted = wanted.ok_or_else(|| Problem::invalid("/trouble", "must be one of the demo"))?;
        demo.customer.trouble(wanted, fields.on.unwrap_or(true));
        Ok(dmrelay_console::troubles(&visitor.person(), &demo.customer.troubles()))
    };
    match making() {
        Err(problem) => trouble(&problem),
        Ok(fragments) if headers.contains_key("x-fragment") => html(fragments),
        Ok(_) => go_to("/console/inbox"),
    }
}

fn demo<'a>(
    state: &'a ApiState,
    visitor: &Visitor,
    (headers, fields): (&HeaderMap, &Fields),
) -> Result<&'a Demo, Problem> {
    visitor.check_form(headers, fields.csrf.as_deref())?;
    state.options.demo.as_ref().ok_or_else(|| Problem::not_found("this is not the demo"))
}

/// Fragments for a script, otherwise the conversation's page.
pub(super) fn answered(
    outcome: Result<Markup, Problem>,
    headers: &HeaderMap,
    ChatId(id): ChatId,
) -> Response {
    match outcome {
        Err(problem) => trouble(&problem),
        Ok(fragments) if headers.contains_key("x-fragment") => html(fragments),
        Ok(_) => go_to(&format!("/console/inbox?chat={id}")),
    }
}
