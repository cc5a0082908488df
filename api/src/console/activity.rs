//! `GET /console/activity`: what was done and what happened.

use super::visitor::Visitor;
use super::{html, trouble};
use crate::extract::Params;
use crate::problem::{Problem, ValidationErrors};
use crate::routes::paging;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use dmrelay_console::{Activities, Markup, Tab, words};
use dmrelay_domain::ids::ChatId;
use dmrelay_domain::permission::Permission;
use dmrelay_domain::states::ActivityKind;
use dmrelay_store::{ActivityFilter, Page};
use dmrelay_views::ActivityView;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};

/// Entries on a page.
const PAGE: u64 = 50;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    group: String,
    cursor: Option<String>,
    part: Option<String>,
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
    let mut errors = ValidationErrors::default();
    let before = paging::read_id(query.cursor.as_deref(), &mut errors);
    errors.end()?;
    let filter = ActivityFilter {
        subaccount: visitor.subaccount.clone(),
        connections: None,
        kinds: of_group(&query.group),
        actor: None,
        subject: None,
        since: None,
        until: None,
        before,
        limit: PAGE,
        skip: 0,
    };
    let kinds = filter.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(",");
    // Live events show what comes, and nothing of before.
    let found = match query.group.as_str() {
        words::EVENTS => Page::empty(),
        _ => state.store.activities(&filter).await?,
    };
    let entries: Vec<ActivityView> = found.items.iter().map(ActivityView::of).collect();
    let ids = entries.iter().filter_map(|entry| entry.details["chatId"].as_str()?.parse().ok().map(ChatId));
    let chats = state.store.chats_named(ids.collect::<HashSet<_>>()).await?.into_iter();
    let names: HashMap<String, String> =
        chats.filter_map(|chat| Some((chat.id.to_string(), chat.name.or(chat.username)?))).collect();
    let person = visitor.person();
    let page = Activities {
        person: &person,
        group: &query.group,
        entries: &entries,
        kinds: &kinds,
        names: &names,
        next: found.next.map(paging::write_id),
        is_first: before.is_none(),
    };
    Ok(match query.part.as_deref() {
        Some("rows") => dmrelay_console::rows(&page),
        _ => dmrelay_console::shell(Tab::Activity, &person, &dmrelay_console::activities(&page)),
    })
}

/// The kinds of a group; none means every kind.
fn of_group(group: &str) -> Vec<ActivityKind> {
    let parts: &[&str] = match group {
        "chats" => &["MESSAGE_", "TURN_", "CHAT_", "BOT_", "USER_", "CUSTOMER_"],
        "accounts" => &[
            "CONNECT",
            "SETTINGS",
            "MOVED",
            "AGENT_",
            "INBOX_PROFILE",
            "CHECK_",
            "WEBHOOKS",
            "TOKEN_",
            "CALLS_",
        ],
        "failures" => &["FAILED", "DEAD_LETTER", "HELD_BACK", "FAILING", "UNKNOWN", "FLAGGED"],
        "access" => &["API_KEY", "SESSION", "PROVIDER_KEY", "META_APP", "NOTIFICATION_TARGET", "ERASE"],
        _ => return Vec::new(),
    };
    let is_of = |kind: &&ActivityKind| parts.iter().any(|part| kind.as_str().contains(part));
    ActivityKind::ALL.iter().filter(is_of).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_kinds_of_its_own() {
        assert!(of_group("").is_empty());
        assert!(of_group("chats").contains(&ActivityKind::MessageSent));
        assert!(of_group("accounts").contains(&ActivityKind::Connected));
        assert!(of_group("failures").contains(&ActivityKind::DeadLetterOpened));
        assert!(of_group("access").contains(&ActivityKind::ApiKeyCreated));
        assert!(!of_group("access").contains(&ActivityKind::MessageSent));
    }
}
