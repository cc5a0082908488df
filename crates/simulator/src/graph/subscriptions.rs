//! `subscribed_apps`: which updates an account sends to the app.

use serde_json::json;

use super::Outcome;
use super::accounts::need;
use super::call::Call;
use super::errors::GraphError;
use crate::world::World;
use crate::world::account::LoginKind;

/// With Instagram Login, as Meta's own validation error lists them. `message_echoes` is not among them.
const INSTAGRAM_FIELDS: &[&str] = &[
    "agent_messages",
    "messages",
    "messaging_postbacks",
    "messaging_seen",
    "messaging_handover",
    "messaging_referral",
    "messaging_optins",
    "message_reactions",
    "message_edit",
    "standby",
    "comments",
    "live_comments",
    "mentions",
    "story_insights",
    "creator_marketplace_projects",
    "creator_marketplace_invited_creator_onboarding",
    "delta",
    "story_reactions",
    "onboarding_welcome_message_series",
    "follow",
    "comment_poll_response",
    "story_poll_response",
    "share_to_story",
];

/// With Facebook Login: the Page's fields (restfb #1210). Assumption: the list is longer than this.
const PAGE_FIELDS: &[&str] = &[
    "feed",
    "mention",
    "name",
    "picture",
    "category",
    "description",
    "conversations",
    "leadgen",
    "ratings",
    "messages",
    "message_echoes",
    "message_reads",
    "message_deliveries",
    "message_reactions",
    "message_edits",
    "messaging_postbacks",
    "messaging_optins",
    "messaging_referrals",
    "messaging_handovers",
    "messaging_account_linking",
    "standby",
    "inbox_labels",
];

/// `POST`: one unknown name fails the whole call.
pub(crate) fn subscribe(world: &mut World, account: &str, call: &Call) -> Result<Outcome, GraphError> {
    let Some(asked) = call.query("subscribed_fields").filter(|fields| !fields.is_empty()) else {
        return Err(GraphError::new(100, "(#100) The parameter subscribed_fields is required."));
    };
    let asked: Vec<String> = asked.split(',').map(|field| field.trim().to_owned()).collect();
    let Some(account) = world.accounts.get_mut(account) else {
        return Err(GraphError::no_object(call.method.as_str(), account));
    };
    let (known, permission) = match account.login {
        LoginKind::Instagram => (INSTAGRAM_FIELDS, account.messaging_permission()),
        LoginKind::Facebook => (PAGE_FIELDS, "pages_manage_metadata"),
    };
    need(account, permission)?;
    if let Some(at) = asked.iter().position(|field| !known.contains(&field.as_str())) {
        let message = format!(
            "(#100) Param subscribed_fields[{at}] must be one of {{{}}} - got \"{}\".",
            known.join(", "),
            asked[at]
        );
        return Err(GraphError::new(100, message));
    }
    account.subscribed = Some(asked);
    Ok(json!({"success": true}).into())
}

/// `GET`.
pub(crate) fn list(world: &World, account: &str) -> Outcome {
    let subscribed =
        world.accounts.get(account).and_then(|account| Some((account, account.subscribed.as_ref()?)));
    let data: Vec<_> = subscribed
        .into_iter()
        .map(|(account, fields)| match account.login {
            LoginKind::Instagram => json!({"id": "1100000000000001", "subscribed_fields": fields}),
            LoginKind::Facebook => json!({
                "category": "Business", "link": "https://example.com/", "name": "dmrelay", "id": "1100000000000001",
                "subscribed_fields": fields,
            }),
        })
        .collect();
    json!({"data": data}).into()
}

/// `DELETE`.
pub(crate) fn unsubscribe(world: &mut World, account: &str) -> Outcome {
    if let Some(account) = world.accounts.get_mut(account) {
        account.subscribed = None;
    }
    json!({"success": true}).into()
}
