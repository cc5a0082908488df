//! `GET /console/failed`: what failed for good, to be replayed or discarded.

use super::call::Call;
use super::visitor::{Visitor, wants_page};
use super::{go_to, handle_of, html, some_agent, trouble};
use crate::extract::{Id, Params};
use crate::problem::{Problem, ValidationErrors};
use crate::routes::{ids, paging};
use crate::services::failures;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use dmrelay_console::{Failed, Markup, Outcome, Person, Sieve, Tab};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ChatId, DeadLetterId};
use dmrelay_domain::permission::Permission;
use dmrelay_domain::states::{DeadLetterKind, DeadLetterState};
use dmrelay_store::entity::dead_letter;
use dmrelay_store::{Connection, DeadLetterFilter};
use dmrelay_views::DeadLetterView;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// The page.
const FAILED: &str = "/console/failed";

/// Dead letters on a page.
const PAGE: u64 = 50;

/// How many of many are done before the page shows how far it has come.
const STEP: u64 = 25;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    class: String,
    account: String,
    kind: String,
    state: String,
    cursor: Option<String>,
    part: Option<String>,
}

impl Query {
    /// What is shown; words that are not known mean everything.
    fn sieve(&self) -> Sieve {
        let known = |word: &str, is_known: bool| if is_known { word.to_owned() } else { String::new() };
        Sieve {
            class: known(&self.class, FailureClass::parse(&self.class).is_some()),
            account: self.account.parse().ok(),
            kind: known(&self.kind, DeadLetterKind::parse(&self.kind).is_some()),
            state: DeadLetterState::parse(&self.state).unwrap_or(DeadLetterState::Open).as_str().to_owned(),
        }
    }
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
    let sieve = query.sieve();
    let filter = DeadLetterFilter { before, ..through(&sieve, visitor, &connections, PAGE) };
    let found = state.store.dead_letter_page(&filter).await?;
    let names = names(state, &found.items).await?;
    let letters: Vec<_> = found
        .items
        .iter()
        .map(|letter| (DeadLetterView::of(letter), letter.chat_id.and_then(|id| names.get(&id).cloned())))
        .collect();
    let next = found.next.map(|next| format!("{FAILED}?{}&cursor={}", sieve.query(), paging::write_id(next)));
    let accounts: Vec<_> = connections.iter().map(|one| (one.id.0, handle_of(one).to_owned())).collect();
    let person = visitor.person();
    let page = Failed {
        person: &person,
        agent: some_agent(&connections),
        classes: &classes,
        sieve: &sieve,
        accounts: &accounts,
        letters: &letters,
        total: &format!("{}{}", found.total, if found.total_is_exact { "" } else { "+" }),
        next,
        is_first: before.is_none(),
    };
    Ok(match query.part.as_deref() {
        Some("list") => dmrelay_console::news(&page),
        _ => dmrelay_console::shell(Tab::Failed, &person, &dmrelay_console::failed(&page)),
    })
}

fn through(sieve: &Sieve, visitor: &Visitor, connections: &[Connection], limit: u64) -> DeadLetterFilter {
    let word = |word: &str| Some(word.to_owned()).filter(|word| !word.is_empty());
    let of_account = |one: &&Connection| sieve.account.is_none_or(|id| one.id.0 == id);
    let connections = connections.iter().filter(of_account).map(|one| one.id).collect();
    DeadLetterFilter {
        class: word(&sieve.class),
        kind: word(&sieve.kind),
        state: DeadLetterState::parse(&sieve.state).unwrap_or(DeadLetterState::Open),
        ..DeadLetterFilter::open(&visitor.subaccount, connections, limit)
    }
}

/// The customers' names.
async fn names(state: &ApiState, letters: &[dead_letter::Model]) -> Result<HashMap<ChatId, String>, Problem> {
    let chats = state.store.chats_named(letters.iter().filter_map(|letter| letter.chat_id)).await?;
    let named = chats.into_iter().filter_map(|chat| Some((chat.id, chat.name.or(chat.username)?)));
    Ok(named.collect())
}

/// What a form says, where a name may stand several times.
type Fields = Vec<(String, String)>;

/// Where a dead letter is shown: in its conversation, or in the list of all.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Place {
    #[serde(default)]
    list: bool,
}

/// `GET /console/failed/{letterId}`: a dead letter as it is now, as a fragment.
pub(super) async fn letter(
    State(state): State<ApiState>,
    visitor: Visitor,
    Id(id): Id<DeadLetterId>,
    Params(place): Params<Place>,
    headers: HeaderMap,
) -> Response {
    if wants_page(&headers) {
        return go_to(FAILED);
    }
    let reading = async {
        visitor.require(Permission::Read)?;
        let connections = state.store.connections(&visitor.subaccount, None).await?;
        let letter = failures::find(&state, &connections, id).await?;
        if !place.list {
            return Ok(dmrelay_console::letter(&visitor.person(), &DeadLetterView::of(&letter), None));
        }
        let names = names(&state, std::slice::from_ref(&letter)).await?;
        Ok(shown(&visitor.person(), &letter, &names))
    };
    reading.await.map_or_else(|problem: Problem| trouble(&problem), html)
}

/// What a person wants to do with dead letters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Nothing: to see what a replay would do.
    Foresee,
    Replay,
    Discard,
}

impl Deed {
    fn as_str(self) -> &'static str {
        match self {
            Self::Foresee => "foresee",
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Foresee, Self::Replay, Self::Discard].into_iter().find(|deed| deed.as_str() == word)
    }
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
    if let Some(why) = done((state, visitor), &connections, &letter, deed).await? {
        let title = "It cannot be replayed now";
        return Err(match deed {
            Deed::Discard => failures::not_open(),
            _ => Problem::new(StatusCode::CONFLICT, "not-replayable", title).detail(why),
        });
    }
    let fresh = failures::find(state, &connections, id).await?;
    let names = names(state, std::slice::from_ref(&fresh)).await?;
    Ok(shown(&visitor.person(), &fresh, &names))
}

/// Does it; or why it was not done.
async fn done(
    (state, visitor): (&ApiState, &Visitor),
    connections: &[Connection],
    letter: &dead_letter::Model,
    deed: Deed,
) -> Result<Option<&'static str>, Problem> {
    if deed == Deed::Discard {
        let is_done = state.store.discard(letter, &visitor.actor).await?;
        return Ok((!is_done).then_some("it was already replayed or discarded"));
    }
    let actor = Some(&visitor.actor).filter(|_| deed == Deed::Replay);
    let replay = failures::replay(state, connections, letter, actor).await?;
    Ok(failures::hindrance(&replay))
}

/// `POST /console/failed/many`: those that are selected, or all that match, some at a time.
pub(super) async fn many(call: Call<Fields>) -> Response {
    call.answer(Box::pin(step(&call)).await, FAILED)
}

async fn step(Call { state, visitor, fields, .. }: &Call<Fields>) -> Result<Markup, Problem> {
    visitor.require(Permission::Replay)?;
    let field =
        |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let number = |name: &str| field(name).and_then(|text| text.parse::<u64>().ok());
    let deed = field("deed").and_then(Deed::parse);
    let deed = deed.ok_or_else(|| Problem::invalid("/deed", "must be foresee, replay or discard"))?;
    let sieve = serde_urlencoded::from_str::<Query>(field("sieve").unwrap_or_default());
    let sieve = sieve.map_err(|_| Problem::invalid("/sieve", "must be what the page shows"))?.sieve();
    let connections = state.store.connections(&visitor.subaccount, None).await?;
    let mut errors = ValidationErrors::default();
    let before = paging::read_id(field("cursor").filter(|cursor| !cursor.is_empty()), &mut errors);
    errors.end()?;
    // What fails while many are gone through is not among them.
    let until = match field("until").and_then(|text| text.parse::<Millis>().ok()) {
        Some(until) => until,
        None => state.store.now().await?,
    };
    let mut refused = BTreeMap::<&str, usize>::new();
    let (letters, next, total) = if field("all").is_some() {
        let created_before = Some(until);
        let filter =
            DeadLetterFilter { before, created_before, ..through(&sieve, visitor, &connections, STEP) };
        let page = state.store.dead_letter_page(&filter).await?;
        (page.items, page.next.map(paging::write_id), number("total").unwrap_or(page.total))
    } else {
        let (ids, mut chosen, mut gone) = (ids(&connections), Vec::new(), 0);
        for (_, id) in fields.iter().filter(|(name, _)| name == "letter") {
            let id = id.parse().map_err(|_| Problem::invalid("/letter", "must be a dead letter's id"))?;
            match state.store.dead_letter(&ids, DeadLetterId(id)).await? {
                Some(letter) => chosen.push(letter),
                None => gone += 1,
            }
        }
        if chosen.is_empty() && gone == 0 {
            return Err(Problem::invalid("/letter", "select some, or all that match"));
        }
        let total = u64::try_from(chosen.len() + gone).unwrap_or(0);
        if gone > 0 {
            refused.insert("it is gone", gone);
        }
        (chosen, None, total)
    };
    let mut well = 0;
    for letter in &letters {
        match done((state, visitor), &connections, letter, deed).await? {
            None => well += 1,
            Some(why) => *refused.entry(why).or_default() += 1,
        }
    }
    let skipped: usize = refused.values().sum();
    let refused: Vec<_> = refused.into_iter().map(|(why, count)| (why.to_owned(), count)).collect();
    let outcome = Outcome {
        deed: deed.as_str(),
        done: number("done").unwrap_or(0).saturating_add(well),
        skipped: number("skipped").unwrap_or(0).saturating_add(u64::try_from(skipped).unwrap_or(0)),
        total,
        refused: &refused,
        sieve: &sieve,
        next: next.as_deref(),
        until,
    };
    let person = visitor.person();
    let mut changed = Vec::new();
    for letter in letters.iter().filter(|_| deed != Deed::Foresee) {
        changed.push(failures::find(state, &connections, letter.id).await?);
    }
    let names = names(state, &changed).await?;
    Ok(maud::html! {
        (dmrelay_console::outcome(&person, &outcome))
        @for letter in &changed { (shown(&person, letter, &names)) }
    })
}

/// A dead letter with its customer's name.
fn shown(person: &Person, letter: &dead_letter::Model, names: &HashMap<ChatId, String>) -> Markup {
    let customer = letter.chat_id.and_then(|id| names.get(&id)).map(String::as_str);
    dmrelay_console::listed(person, &DeadLetterView::of(letter), customer)
}
