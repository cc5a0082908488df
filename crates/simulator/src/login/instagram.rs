//! `POST https://api.instagram.com/oauth/access_token`: a code of Instagram Login becomes a token of an hour.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Given, Grant, Refused};
use crate::engine::Core;
use crate::faults::{self, Subject};
use crate::ids;
use crate::operation::{Operation, Service};
use crate::world::World;
use crate::world::account::{LoginKind, Token, TokenState};

/// Meta, "Business Login": a short-lived token is valid for an hour.
const SHORT_TOKEN_MS: i64 = 3_600_000;

pub(super) async fn redeem(State(core): State<Arc<Core>>, body: String) -> Response {
    let field = |name: &str| {
        let found = url::form_urlencoded::parse(body.as_bytes()).find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let (app_id, app_secret) = (field("client_id"), field("client_secret"));
    let (redirect_uri, code, grant_type) = (field("redirect_uri"), field("code"), field("grant_type"));
    let fault = core.change(|world| {
        world.record.count_call(Operation::RedeemCode.key());
        world.faults.strike(&Subject::new(Service::Graph, Operation::RedeemCode))
    });
    let work = async {
        let now = core.clock.now_ms();
        let given = Given {
            login: LoginKind::Instagram,
            app_id: &app_id,
            app_secret: &app_secret,
            redirect_uri: &redirect_uri,
            code: &code,
        };
        core.change(|world| {
            let World { settings, logins, .. } = world;
            let grant = logins.redeem(&settings.login.apps, &given, now);
            match grant {
                _ if grant_type != "authorization_code" => refused("Invalid grant_type"),
                Ok(grant) => issue(world, &grant, now),
                Err(Refused::App) => refused("Invalid platform app"),
                Err(Refused::Code) => refused("Matching code was not found or was already used"),
            }
        })
    };
    match fault {
        None => work.await,
        Some(fault) => {
            let refused = |fault: &faults::Fault| {
                let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok());
                let message = fault.message.clone().unwrap_or_else(|| "Simulated error".to_owned());
                (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), refused(&message)).into_response()
            };
            faults::play(fault, work, refused).await
        }
    }
}

fn issue(world: &mut World, grant: &Grant, now: i64) -> Response {
    let found = grant.accounts.first().and_then(|id| world.accounts.get_mut(id));
    let Some(account) = found else { return refused("Matching code was not found or was already used") };
    account.grant(&grant.scopes);
    let account = account.id.clone();
    let access_token = format!("IGAA{}", ids::letters(60));
    let token = Token {
        account: account.clone(),
        state: TokenState::Valid,
        issued_ms: now,
        expires_ms: Some(now + SHORT_TOKEN_MS),
        data_access_ends_ms: None,
    };
    world.tokens.insert(access_token.clone(), token);
    // Implementations report numbers above 2^53.
    let user_id = account.parse::<u64>().map_or_else(|_| json!(account), |id| json!(id));
    let body = if world.settings.login.documented_shape {
        let permissions = grant.scopes.join(",");
        json!({"data": [{"access_token": access_token, "user_id": account, "permissions": permissions}]})
    } else {
        json!({"access_token": access_token, "user_id": user_id, "permissions": grant.scopes})
    };
    Json(body).into_response()
}

/// Errors here have a shape of their own (restfb's and nango's captures).
fn refused(message: &str) -> Response {
    let body: Value = json!({"error_type": "OAuthException", "code": 400, "error_message": message});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
