//! Nodes: the account, its Page, and the profiles of people.

use serde_json::{Map, Value, json};

use super::Outcome;
use super::call::Call;
use super::errors::GraphError;
use super::fields;
use crate::world::World;
use crate::world::account::{Account, LoginKind};

/// The ids an account's edges answer to: `me`, the professional id, or with Facebook Login the Page's.
/// Assumption: the app-scoped id that `GET /me` calls `id` is not among them.
pub(crate) fn is_sender(account: &Account, id: &str) -> bool {
    let own = match account.login {
        LoginKind::Instagram => &account.id,
        LoginKind::Facebook => &account.page_id,
    };
    id == "me" || id == own
}

/// The node an id names, if it is the account's own.
pub(crate) fn node(account: &Account, id: &str) -> Option<Map<String, Value>> {
    let node = match account.login {
        LoginKind::Instagram if id == "me" || id == account.id || id == account.app_scoped_id => {
            instagram_user(account, &account.app_scoped_id)
        }
        LoginKind::Facebook if id == "me" || id == account.page_id => json!({
            "id": account.page_id,
            "name": account.name,
            "category": "Shopping",
            "instagram_business_account": {
                "id": account.id, "username": account.username, "name": account.name,
            },
        }),
        LoginKind::Facebook if id == account.id => instagram_user(account, &account.id),
        _ => return None,
    };
    node.as_object().cloned()
}

/// `id` is app-scoped, `user_id` the professional id that webhooks carry (Meta, "Get started").
fn instagram_user(account: &Account, id: &str) -> Value {
    json!({
        "id": id,
        "user_id": account.id,
        "username": account.username,
        "name": account.name,
        "account_type": "Business",
        "profile_picture_url": format!("https://scontent.cdninstagram.com/v/{}.jpg", account.id),
        "followers_count": 1234,
        "follows_count": 12,
        "media_count": 56,
    })
}

/// `GET /me` and `GET /{id}`.
pub(crate) fn read(world: &World, account: &str, id: &str, call: &Call) -> Result<Outcome, GraphError> {
    let Some((account, node)) =
        world.accounts.get(account).and_then(|account| Some((account, node(account, id)?)))
    else {
        return Err(GraphError::no_object(call.method.as_str(), id));
    };
    need(account, account.basic_permission())?;
    let asked = fields::parse(call.query("fields").unwrap_or("id"));
    let kind = if account.login == LoginKind::Facebook && id != account.id { "Page" } else { "IGUser" };
    Ok(fields::select(&node, &asked, kind)?.into())
}

/// `GET /me/permissions` (Graph API, "User permissions"; assumption: the same on graph.instagram.com).
pub(crate) fn permissions(world: &World, account: &str) -> Outcome {
    let granted = world.accounts.get(account).map(|account| account.permissions.clone()).unwrap_or_default();
    let data: Vec<Value> =
        granted.iter().map(|permission| json!({"permission": permission, "status": "granted"})).collect();
    json!({"data": data}).into()
}

/// Refuses what the account did not grant: code 10 with Instagram Login, 200 with Facebook Login (assumption: which).
pub(crate) fn need(account: &Account, permission: &str) -> Result<(), GraphError> {
    if account.may(permission) {
        return Ok(());
    }
    Err(match account.login {
        LoginKind::Instagram => {
            GraphError::new(10, "(#10) Application does not have permission for this action")
        }
        LoginKind::Facebook => {
            GraphError::new(200, format!("(#200) Requires {permission} permission to manage the object"))
        }
    })
}

/// `GET /{IGSID}`: only of a person who has written; otherwise code 230 (Messenger Platform, "Error codes").
pub(crate) fn profile(world: &World, account: &str, user: &str, call: &Call) -> Result<Outcome, GraphError> {
    if let Some(account) = world.accounts.get(account) {
        need(account, account.messaging_permission())?;
    }
    let Some(thread) = world.thread(account, user) else {
        let commented =
            world.comments.values().any(|comment| comment.account == account && comment.user == user);
        return Err(if commented { no_consent() } else { GraphError::no_object(call.method.as_str(), user) });
    };
    let person = &thread.person;
    // Assumption: someone who blocked the account is refused like someone who has not written.
    if thread.opened_ms.is_none() || person.profile_hidden || person.unavailable {
        return Err(no_consent());
    }
    let node = json!({
        "id": user,
        "name": person.name,
        "username": person.username,
        "profile_pic": person.profile_pic,
        "follower_count": 123,
        "is_user_follow_business": false,
        "is_business_follow_user": false,
        "is_verified_user": false,
    });
    let asked = fields::parse(call.query("fields").unwrap_or("name,username,profile_pic"));
    let node = node.as_object().cloned().unwrap_or_default();
    Ok(fields::select(&node, &asked, "IGUser")?.into())
}

/// Refuses to show or send messages of an account whose owner lets no app read them (Messenger Platform, "Error codes").
pub(crate) fn need_message_access(account: &Account) -> Result<(), GraphError> {
    if account.access_off {
        let what = "(#200) The account owner has disabled access to Instagram Direct Messages";
        return Err(GraphError::sub(200, 2_534_041, what));
    }
    Ok(())
}

fn no_consent() -> GraphError {
    GraphError::new(230, "(#230) User consent is required to access user profile")
}
