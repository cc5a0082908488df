//! Facebook Login on graph.facebook.com: a code becomes a user token, that a longer one, and with it the person's Pages and their
//! tokens are read.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::{Given, Grant, Refused, UserToken, apps};
use crate::graph::call::Call;
use crate::graph::errors::GraphError;
use crate::graph::{Host, fields};
use crate::ids;
use crate::operation::Operation;
use crate::world::World;
use crate::world::account::{LONG_TOKEN_SECONDS, LoginKind, Token, TokenState};

/// Facebook, "Access tokens": a short-lived user token is valid for an hour or two.
const SHORT_TOKEN_SECONDS: i64 = 3_600;

/// The app-scoped id of whoever logs in: there is one person here.
const PERSON: &str = "10220000000000001";

/// The field of a Page that names its Instagram account.
const ACCOUNT: &str = "instagram_business_account";

/// The operation of a call that needs no account: by an app, or with a user token.
pub(crate) fn operation(world: &World, call: &Call) -> Option<Operation> {
    if call.host != Host::Facebook || call.method != Method::GET {
        return None;
    }
    let is_user = || call.token.as_ref().is_some_and(|token| world.logins.users.contains_key(token));
    match call.segments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["oauth", "access_token"] if call.query("code").is_some() => Some(Operation::RedeemCode),
        ["oauth", "access_token"] => Some(Operation::ExchangeToken),
        ["debug_token"] => Some(Operation::DebugToken),
        ["me"] if is_user() => Some(Operation::Me),
        ["me", "accounts"] if is_user() => Some(Operation::Pages),
        ["me", "permissions"] if is_user() => Some(Operation::Permissions),
        _ => None,
    }
}

/// Executes such a call.
pub(crate) fn execute(
    world: &mut World,
    call: &Call,
    operation: Operation,
    now: i64,
) -> Result<Value, GraphError> {
    match operation {
        Operation::RedeemCode => redeem(world, call, now),
        Operation::ExchangeToken => exchange(world, call, now),
        Operation::Pages => pages(world, call, now),
        Operation::Me => me(world, call, now),
        Operation::DebugToken => debug(world, call, now),
        _ => permissions(world, call, now),
    }
}

fn redeem(world: &mut World, call: &Call, now: i64) -> Result<Value, GraphError> {
    let field = |name: &str| call.query(name).unwrap_or_default();
    let given = Given {
        login: LoginKind::Facebook,
        app_id: field("client_id"),
        app_secret: field("client_secret"),
        redirect_uri: field("redirect_uri"),
        code: field("code"),
    };
    let World { settings, logins, .. } = world;
    let grant = logins.redeem(&settings.login.apps, &given, now).map_err(|refused| match refused {
        Refused::App => GraphError::new(
            101,
            "Error validating application. Cannot get application info due to a system error.",
        ),
        Refused::Code => GraphError::sub(100, 36_009, "This authorization code has been used."),
    })?;
    for id in &grant.accounts {
        if let Some(account) = world.accounts.get_mut(id) {
            account.grant(&grant.scopes);
        }
    }
    Ok(issue(world, grant, SHORT_TOKEN_SECONDS, now))
}

fn exchange(world: &mut World, call: &Call, now: i64) -> Result<Value, GraphError> {
    let field = |name: &str| call.query(name).unwrap_or_default();
    if field("grant_type") != "fb_exchange_token" {
        return Err(GraphError::new(1, "Invalid grant_type"));
    }
    let apps = &world.settings.login.apps;
    let app = apps::proven(apps, LoginKind::Facebook, field("client_id"), field("client_secret"));
    let app = app.ok_or_else(|| GraphError::new(1, "Error validating client secret."))?.app_id.clone();
    let user = user(world, field("fb_exchange_token"), now)?;
    if user.grant.app_id != app {
        return Err(GraphError::new(190, "Invalid OAuth access token - Cannot parse access token"));
    }
    let grant = user.grant.clone();
    Ok(issue(world, grant, LONG_TOKEN_SECONDS, now))
}

fn issue(world: &mut World, grant: Grant, seconds: i64, now: i64) -> Value {
    let access_token = format!("EAAU{}", ids::letters(100));
    world.logins.users.insert(access_token.clone(), UserToken { grant, expires_ms: now + seconds * 1_000 });
    json!({"access_token": access_token, "token_type": "bearer", "expires_in": seconds})
}

fn user<'world>(world: &'world World, token: &str, now: i64) -> Result<&'world UserToken, GraphError> {
    let found = world.logins.users.get(token);
    let user = found
        .ok_or_else(|| GraphError::new(190, "Invalid OAuth access token - Cannot parse access token"))?;
    if user.expires_ms <= now {
        return Err(GraphError::sub(190, 463, "Error validating access token: Session has expired."));
    }
    Ok(user)
}

/// `GET /me/accounts`: the Pages that the person has chosen, each with a token without an end.
fn pages(world: &mut World, call: &Call, now: i64) -> Result<Value, GraphError> {
    let grant = user(world, call.token.as_deref().unwrap_or_default(), now)?.grant.clone();
    if !grant.scopes.iter().any(|scope| scope == "pages_show_list") {
        return Ok(json!({"data": []}));
    }
    let mut nodes: Vec<Map<String, Value>> = Vec::new();
    for id in &grant.accounts {
        let Some(account) = world.accounts.get(id) else { continue };
        let access_token = format!("EAAP{}", ids::letters(100));
        let mut node = Map::from_iter([
            ("id".to_owned(), json!(account.page_id)),
            ("name".to_owned(), json!(account.name)),
            ("access_token".to_owned(), json!(access_token)),
            ("tasks".to_owned(), json!(["ADVERTISE", "ANALYZE", "CREATE_CONTENT", "MESSAGING", "MODERATE"])),
        ]);
        let is_told = grant.scopes.iter().any(|scope| scope == "instagram_basic");
        let linked = is_told.then(|| json!({"id": account.id, "username": account.username}));
        node.insert(ACCOUNT.to_owned(), linked.unwrap_or_default());
        nodes.push(node);
        let token = Token {
            account: id.clone(),
            state: TokenState::Valid,
            issued_ms: now,
            expires_ms: None,
            data_access_ends_ms: None,
        };
        world.tokens.insert(access_token, token);
    }
    for page in world.settings.login.unlinked_pages.iter().filter(|page| grant.unlinked.contains(&page.id)) {
        nodes.push(Map::from_iter([
            ("id".to_owned(), json!(page.id)),
            ("name".to_owned(), json!(page.name)),
            ("access_token".to_owned(), json!(format!("EAAP{}", ids::letters(100)))),
            ("tasks".to_owned(), json!(["MODERATE"])),
            (ACCOUNT.to_owned(), Value::Null),
        ]));
    }
    let asked = fields::parse(call.query("fields").unwrap_or("id,name,access_token"));
    let from = call.query("after").and_then(|after| after.parse::<usize>().ok()).unwrap_or(0);
    let size = call.limit().unwrap_or(world.settings.graph.page_size).min(world.settings.graph.page_size);
    let shown = nodes.iter().skip(from).take(size);
    let data = shown.map(|node| fields::select(node, &asked, "Page")).collect::<Result<Vec<_>, _>>()?;
    let mut list = json!({"data": data});
    if from + size < nodes.len() {
        // The real cursor is opaque, and `next` is there only if there is more.
        list["paging"] = json!({
            "cursors": {"before": from.to_string(), "after": (from + size).to_string()},
            "next": format!("https://graph.facebook.com/me/accounts?after={}", from + size),
        });
    }
    Ok(list)
}

/// `GET /debug_token`: with the token of an app, its id and its secret; about a token of a Page. Assumption: of any of its accounts.
fn debug(world: &World, call: &Call, now: i64) -> Result<Value, GraphError> {
    let own = call.token.as_deref().and_then(|token| token.split_once('|'));
    let apps = &world.settings.login.apps;
    let app = own.and_then(|(id, secret)| apps::proven(apps, LoginKind::Facebook, id, secret));
    let app = app.ok_or_else(|| GraphError::new(190, "Invalid OAuth access token signature."))?;
    let asked = call.query("input_token").unwrap_or_default();
    let token = world.tokens.get(asked);
    let account = token.and_then(|token| world.accounts.get(&token.account));
    let Some((token, account)) =
        token.zip(account).filter(|(_, account)| account.login == LoginKind::Facebook)
    else {
        return Err(GraphError::new(100, "The access token could not be decrypted"));
    };
    let is_over = token.expires_ms.is_some_and(|end| end <= now);
    let scopes = account.permissions.iter().filter(|permission| *permission != "human_agent");
    Ok(json!({"data": {
        "app_id": app.app_id, "type": "PAGE", "application": app.name,
        "is_valid": token.state == TokenState::Valid && !is_over,
        "issued_at": token.issued_ms / 1_000,
        "expires_at": token.expires_ms.map_or(0, |end| end / 1_000),
        "data_access_expires_at": token.data_access_ends_ms.map_or(0, |end| end / 1_000),
        "scopes": scopes.collect::<Vec<_>>(),
        "user_id": PERSON,
    }}))
}

/// `GET /me`: the person, by the id that the app knows them by.
fn me(world: &World, call: &Call, now: i64) -> Result<Value, GraphError> {
    user(world, call.token.as_deref().unwrap_or_default(), now)?;
    Ok(json!({"id": PERSON}))
}

/// `GET /me/permissions`: what was granted, and what was declined.
fn permissions(world: &World, call: &Call, now: i64) -> Result<Value, GraphError> {
    let user = user(world, call.token.as_deref().unwrap_or_default(), now)?;
    let granted = user.grant.scopes.iter().map(|scope| json!({"permission": scope, "status": "granted"}));
    Ok(json!({"data": granted.collect::<Vec<_>>()}))
}
