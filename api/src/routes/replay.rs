//! `POST …/dead-letters/…`: replays or discards dead letters.

use super::dead_letters::KINDS;
use super::{all, ids, paging};
use crate::access::Scope;
use crate::extract::{Body, Id, MaybeBody};
use crate::problem::{Problem, ValidationErrors};
use crate::services::failures;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::DeadLetterId;
use dmrelay_domain::states::DeadLetterState;
use dmrelay_store::entity::dead_letter;
use dmrelay_store::{Connection, DeadLetterFilter, Replay};
use dmrelay_views::{DeadLetterView, enums};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Maximum number of dead letters per call.
const LETTERS_MAX: u64 = 200;

/// The dead letters to replay: those named, or all open ones that match.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReplaySome {
    /// These dead letters, at most 200.
    #[schema(min_items = 1, max_items = 200)]
    ids: Option<Vec<Uuid>>,
    /// Only this failure class.
    #[schema(schema_with = enums::failure_class_or_null, required = false)]
    class: Option<String>,
    /// Only this kind.
    #[schema(schema_with = enums::dead_letter_kind_or_null, required = false)]
    kind: Option<String>,
    /// Created before this time.
    #[schema(format = DateTime)]
    created_before: Option<String>,
    /// Maximum number to replay.
    #[schema(minimum = 1, maximum = 200)]
    limit: Option<u64>,
    /// Cursor: the `nextCursor` of the previous call.
    #[schema(max_length = 64)]
    cursor: Option<String>,
}

/// The result of a replay.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReplayOutcome)]
pub(super) struct Outcome {
    /// Number of dead letters replayed.
    replayed: u64,
    /// Dead letters not replayed, with the reason.
    refused: Vec<Refused>,
    /// Cursor of the next call, to pass as `cursor`; null if no more match.
    next_cursor: Option<String>,
}

/// A dead letter that was not replayed.
#[derive(Debug, Serialize, ToSchema)]
struct Refused {
    id: Uuid,
    reason: String,
}

/// No fields.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Replays several dead letters
///
/// Replays those in `ids` or, without `ids`, the matching open ones, newest first, at most 200 per call.
/// Those that cannot be replayed stay open; `nextCursor` continues after them.
#[utoipa::path(post, path = "/dead-letters/replay", tag = "Dead letters", operation_id = "replayDeadLetters",
    request_body = ReplaySome,
    responses((status = 200, description = "The result", body = Outcome)))]
pub(super) async fn replay_some(
    State(state): State<ApiState>,
    scope: Scope,
    Body(request): Body<ReplaySome>,
) -> Result<Json<Outcome>, Problem> {
    let connections = all(&state, &scope).await?;
    let mut done = Outcome::default();
    for letter in wanted(&state, &scope, &connections, request, &mut done).await? {
        let replay = failures::replay(&state, &connections, &letter, Some(&scope.actor)).await?;
        match failures::hindrance(&replay) {
            None => done.replayed += 1,
            Some(why) => done.refuse(letter.id, why),
        }
    }
    Ok(Json(done))
}

/// Replays a dead letter
#[utoipa::path(post, path = "/dead-letters/{deadLetterId}/replay", tag = "Dead letters",
    operation_id = "replayDeadLetter", request_body = Option<Nothing>,
    responses(
        (status = 200, description = "The dead letter is replayed", body = DeadLetterView),
        (status = 409, description = "The dead letter is not open, or cannot be replayed now"),
    ))]
pub(super) async fn replay(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<DeadLetterId>,
    MaybeBody(_): MaybeBody<Nothing>,
) -> Result<Json<DeadLetterView>, Problem> {
    let connections = all(&state, &scope).await?;
    let letter = failures::find(&state, &connections, id).await?;
    match failures::replay(&state, &connections, &letter, Some(&scope.actor)).await? {
        Replay::Replayed => Ok(Json(DeadLetterView::of(&failures::find(&state, &connections, id).await?))),
        Replay::NotOpen => Err(failures::not_open()),
        Replay::Refused(why) => {
            let title = "The dead letter cannot be replayed now";
            Err(Problem::new(StatusCode::CONFLICT, "not-replayable", title).detail(why))
        }
    }
}

/// Discards a dead letter
#[utoipa::path(post, path = "/dead-letters/{deadLetterId}/discard", tag = "Dead letters",
    operation_id = "discardDeadLetter", request_body = Option<Nothing>,
    responses(
        (status = 200, description = "The dead letter is discarded", body = DeadLetterView),
        (status = 409, description = "The dead letter is not open"),
    ))]
pub(super) async fn discard(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<DeadLetterId>,
    MaybeBody(_): MaybeBody<Nothing>,
) -> Result<Json<DeadLetterView>, Problem> {
    let connections = all(&state, &scope).await?;
    let letter = failures::find(&state, &connections, id).await?;
    if !state.store.discard(&letter, &scope.actor).await? {
        return Err(failures::not_open());
    }
    Ok(Json(DeadLetterView::of(&failures::find(&state, &connections, id).await?)))
}

impl Outcome {
    fn refuse(&mut self, id: DeadLetterId, reason: &str) {
        self.refused.push(Refused { id: id.0, reason: reason.to_owned() });
    }
}

/// The dead letters a request names; those not found are reported as refused.
async fn wanted(
    state: &ApiState,
    scope: &Scope,
    connections: &[Connection],
    request: ReplaySome,
    done: &mut Outcome,
) -> Result<Vec<dead_letter::Model>, Problem> {
    let filter = filter(scope, connections, &request)?;
    let Some(named) = request.ids else {
        let page = state.store.dead_letter_page(&filter).await?;
        done.next_cursor = page.next.map(paging::write_id);
        return Ok(page.items);
    };
    let named: Vec<DeadLetterId> = named.into_iter().map(DeadLetterId).collect();
    let found = state.store.dead_letters_named(&filter.connections, &named).await?;
    let mut letters = Vec::with_capacity(named.len());
    for id in named {
        match found.iter().find(|letter| letter.id == id) {
            Some(letter) => letters.push(letter.clone()),
            None => done.refuse(id, "this agent has no such dead letter"),
        }
    }
    Ok(letters)
}

fn filter(
    scope: &Scope,
    connections: &[Connection],
    request: &ReplaySome,
) -> Result<DeadLetterFilter, Problem> {
    let mut errors = ValidationErrors::default();
    let before = request.cursor.as_deref().and_then(|cursor| {
        errors.check("/cursor", paging::id_of(cursor).ok_or("must be a nextCursor of this call"))
    });
    if request.class.as_deref().is_some_and(|word| FailureClass::parse(word).is_none()) {
        errors.at("/class", "must be a failure class");
    }
    if request.kind.as_deref().is_some_and(|word| !KINDS.contains(&word)) {
        errors.at("/kind", format!("must be one of {}", KINDS.join(", ")));
    }
    let created_before = request.created_before.as_deref();
    let created_before =
        created_before.and_then(|text| errors.check("/createdBefore", dmrelay_views::parse_time(text)));
    errors.end()?;
    Ok(DeadLetterFilter {
        subaccount: scope.subaccount.clone(),
        connections: ids(connections),
        class: request.class.clone(),
        kind: request.kind.clone(),
        chat: None,
        state: DeadLetterState::Open,
        created_before,
        before,
        limit: request.limit.unwrap_or(LETTERS_MAX),
        skip: 0,
    })
}
