//! `GET /console/failed`: what failed for good, to be replayed or discarded.

use super::call::Call;
use super::visitor::{Visitor, wants_page};
use super::{go_to, html, trouble};
use crate::extract::{Id, Params};
use crate::problem::{Problem, ValidationErrors};
use crate::routes::{ids, paging};
use crate::services::failures;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use dmrelay_console::{Failed, Markup, Outcome, Person, Tab};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ChatId, DeadLetterId};
use dmrelay_domain::permission::Permission;
use dmrelay_store::entity::dead_letter;
use dmrelay_store::{Connection, DeadLetterFilter};
use dmrelay_views::DeadLetterView;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// The page.
const FAILED: &str = "/console/failed";

/// Dead letters on a page.
const PAGE: u64 = 50;

/// Maximum number of dead letters that one call replays.
const BULK_MAX: u64 = 100;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    class: Option<String>,
    cursor: Option<String>,
}

pub(super) async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Params(query): Params<Query>,
) -> Response {
    page(&state, &visitor, query).await.map_or_else(|problem| trouble(&problem), html)
}

async fn page(state: &ApiState, visitor: &Visitor, query: Query) -> Result<Markup, Problem> {
    visitor.require(Permission::Read)?;
    let _permit = state.readers.permit(&visitor.subaccount).await?;
    let connections = state.store.connections(&visitor.subaccount, None).await?;
    let classes = state.store.open_letters_by_class(&visitor.subaccount, &ids(&connections)).await?;
    let mut errors = ValidationErrors::default();
    let before = paging::read_id(query.cursor.as_deref(), &mut errors);
    errors.end()?;
    let class = query.class.filter(|class| FailureClass::parse(class).is_some());
    let filter = DeadLetterFilter { before, ..of_class(visitor, &connections, class.clone(), PAGE) };
    let found = state.store.dead_letter_page(&filter).await?;
    let names = names(state, &found.items).await?;
    let letters: Vec<_> = found
        .items
        .iter()
        .map(|letter| (DeadLetterView::of(letter), letter.chat_id.and_then(|id| names.get(&id).cloned())))
        .collect();
    let next = found.next.map(|next| {
        let class = class.as_deref().unwrap_or_default();
        format!("/console/failed?class={class}&cursor={}", paging::write_id(next))
    });
    let person = visitor.person();
    let page =
        Failed { person: &person, classes: &classes, class: class.as_deref(), letters: &letters, next };
    Ok(dmrelay_console::shell(Tab::Failed, &person, &dmrelay_console::failed(&page)))
}

fn of_class(
    visitor: &Visitor,
    connections: &[Connection],
    class: Option<String>,
    limit: u64,
) -> DeadLetterFilter {
    DeadLetterFilter { class, ..DeadLetterFilter::open(&visitor.subaccount, ids(connections), limit) }
}

/// The customers' names.
async fn names(state: &ApiState, letters: &[dead_letter::Model]) -> Result<HashMap<ChatId, String>, Problem> {
    let chats = state.store.chats_named(letters.iter().filter_map(|letter| letter.chat_id)).await?;
    let named = chats.into_iter().filter_map(|chat| Some((chat.id, chat.name.or(chat.username)?)));
    Ok(named.collect())
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields {
    class: Option<String>,
    dry: Option<bool>,
    /// Where the next of many begin.
    cursor: Option<String>,
}

/// `GET /console/failed/{letterId}`: a dead letter as it is now, as a fragment.
pub(super) async fn letter(
    State(state): State<ApiState>,
    visitor: Visitor,
    Id(id): Id<DeadLetterId>,
    headers: HeaderMap,
) -> Response {
    if wants_page(&headers) {
        return go_to(FAILED);
    }
    let reading = async {
        visitor.require(Permission::Read)?;
        let connections = state.store.connections(&visitor.subaccount, None).await?;
        let letter = failures::find(&state, &connections, id).await?;
        let names = names(&state, std::slice::from_ref(&letter)).await?;
        Ok(shown(&visitor.person(), &letter, &names))
    };
    reading.await.map_or_else(|problem: Problem| trouble(&problem), html)
}

/// What a person wants to do with one dead letter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Replay,
    Discard,
}

pub(super) async fn replay(Id(id): Id<DeadLetterId>, call: Call<Fields>) -> Response {
    call.answer(one(&call, id, Deed::Replay).await, FAILED)
}

pub(super) async fn discard(Id(id): Id<DeadLetterId>, call: Call<Fields>) -> Response {
    call.answer(one(&call, id, Deed::Discard).await, FAILED)
}

async fn one(
    Call { state, visitor, .. }: &Call<Fields>,
    id: DeadLetterId,
    deed: Deed,
) -> Result<Markup, Problem> {
    visitor.require(Permission::Replay)?;
    let connections = state.store.connections(&visitor.subaccount, None).await?;
    let letter = failures::find(state, &connections, id).await?;
    match deed {
        Deed::Replay => {
            let replay = failures::replay(state, &connections, &letter, Some(&visitor.actor)).await?;
            if let Some(why) = failures::hindrance(&replay) {
                let title = "It cannot be replayed now";
                return Err(Problem::new(StatusCode::CONFLICT, "not-replayable", title).detail(why));
            }
        }
        Deed::Discard => {
            if !state.store.discard(&letter, &visitor.actor).await? {
                return Err(failures::not_open());
            }
        }
    }
    let fresh = failures::find(state, &connections, id).await?;
    let names = names(state, std::slice::from_ref(&fresh)).await?;
    Ok(shown(&visitor.person(), &fresh, &names))
}

/// `POST /console/failed/replay`: all of a class, or what would become of them.
pub(super) async fn replay_all(call: Call<Fields>) -> Response {
    call.answer(many(&call).await, FAILED)
}

async fn many(Call { state, visitor, fields, .. }: &Call<Fields>) -> Result<Markup, Problem> {
    visitor.require(Permission::Replay)?;
    let class = fields.class.clone().filter(|class| FailureClass::parse(class).is_some());
    let class = class.ok_or_else(|| Problem::invalid("/class", "must be a failure class"))?;
    let connections = state.store.connections(&visitor.subaccount, None).await?;
    let is_dry = fields.dry.unwrap_or(true);
    let mut errors = ValidationErrors::default();
    let cursor = fields.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let before = paging::read_id(cursor, &mut errors);
    errors.end()?;
    let of_class = of_class(visitor, &connections, Some(class.clone()), BULK_MAX);
    let page = state.store.dead_letter_page(&DeadLetterFilter { before, ..of_class }).await?;
    let actor = Some(&visitor.actor).filter(|_| !is_dry);
    let mut done = Vec::new();
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    for letter in &page.items {
        let replay = failures::replay(state, &connections, letter, actor).await?;
        match failures::hindrance(&replay) {
            None => done.push(letter.id),
            Some(why) => *refused.entry(why).or_default() += 1,
        }
    }
    let refused: Vec<_> = refused.into_iter().map(|(why, count)| (why.to_owned(), count)).collect();
    let person = visitor.person();
    let next = page.next.map(paging::write_id);
    let outcome =
        Outcome { is_dry, replayed: done.len(), refused: &refused, class: &class, next: next.as_deref() };
    let mut replayed = Vec::new();
    for id in done.into_iter().filter(|_| !is_dry) {
        replayed.push(failures::find(state, &connections, id).await?);
    }
    let names = names(state, &replayed).await?;
    Ok(maud::html! {
        (dmrelay_console::outcome(&person, &outcome))
        @for letter in &replayed { (shown(&person, letter, &names)) }
    })
}

/// A dead letter with its customer's name.
fn shown(person: &Person, letter: &dead_letter::Model, names: &HashMap<ChatId, String>) -> Markup {
    let customer = letter.chat_id.and_then(|id| names.get(&id)).map(String::as_str);
    dmrelay_console::letter(person, &DeadLetterView::of(letter), customer)
}
