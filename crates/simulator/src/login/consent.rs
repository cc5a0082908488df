//! The consent pages: shown, and decided.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use url::{Url, form_urlencoded};

use super::{Code, Grant, MetaApp, app_of, page};
use crate::engine::Core;
use crate::ids;
use crate::world::World;
use crate::world::account::LoginKind;

type Here = State<Arc<Core>>;

pub(super) async fn instagram(State(core): Here, RawQuery(query): RawQuery) -> Response {
    ask(&core, LoginKind::Instagram, &query.unwrap_or_default())
}

pub(super) async fn facebook(State(core): Here, RawQuery(query): RawQuery) -> Response {
    ask(&core, LoginKind::Facebook, &query.unwrap_or_default())
}

pub(super) async fn instagram_decided(
    State(core): Here,
    RawQuery(query): RawQuery,
    body: String,
) -> Response {
    decide(&core, LoginKind::Instagram, &query.unwrap_or_default(), &body)
}

pub(super) async fn facebook_decided(State(core): Here, RawQuery(query): RawQuery, body: String) -> Response {
    decide(&core, LoginKind::Facebook, &query.unwrap_or_default(), &body)
}

/// What an app asks a person for.
struct Asked {
    app: MetaApp,
    redirect: Url,
    state: String,
    scopes: Vec<String>,
}

fn values(text: &str, name: &str) -> Vec<String> {
    let pairs = form_urlencoded::parse(text.as_bytes());
    pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
}

fn value(text: &str, name: &str) -> String {
    values(text, name).pop().unwrap_or_default()
}

/// Reads what is asked for. Nobody is sent to an address that the app has not registered.
fn read(world: &World, login: LoginKind, query: &str) -> Result<Asked, &'static str> {
    let app = app_of(world, login, &value(query, "client_id")).ok_or("Invalid platform app")?;
    let redirect = value(query, "redirect_uri");
    if !app.redirect_uris.contains(&redirect) {
        return Err("Invalid redirect_uri: this address is not registered for the app");
    }
    let redirect = Url::parse(&redirect).map_err(|_| "Invalid redirect_uri")?;
    if value(query, "response_type") != "code" && login == LoginKind::Instagram {
        return Err("Invalid response_type: only code is possible");
    }
    let configured = app.configurations.get(&value(query, "config_id")).cloned();
    let scopes = configured.unwrap_or_else(|| {
        let scope = value(query, "scope");
        scope.split([',', ' ']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
    });
    if scopes.is_empty() {
        return Err("Invalid scope: the app asks for nothing");
    }
    Ok(Asked { app: app.clone(), redirect, state: value(query, "state"), scopes })
}

fn ask(core: &Core, login: LoginKind, query: &str) -> Response {
    core.read(|world| match read(world, login, query) {
        Ok(asked) => Html(page::consent(world, login, &asked.app, &asked.scopes)).into_response(),
        Err(why) => (StatusCode::BAD_REQUEST, Html(page::error(why))).into_response(),
    })
}

fn decide(core: &Core, login: LoginKind, query: &str, form: &str) -> Response {
    let now = core.clock.now_ms();
    core.change(|world| {
        let asked = match read(world, login, query) {
            Ok(asked) => asked,
            Err(why) => return (StatusCode::BAD_REQUEST, Html(page::error(why))).into_response(),
        };
        if value(form, "decision") != "allow" {
            return back(
                &asked,
                &[
                    ("error", "access_denied"),
                    ("error_reason", "user_denied"),
                    ("error_description", "The user denied your request."),
                ],
            );
        }
        let chosen = values(form, "scope");
        let scopes = match &world.settings.login.grant_only {
            Some(only) => only.clone(),
            None => asked.scopes.iter().filter(|scope| chosen.contains(scope)).cloned().collect(),
        };
        let accounts: Vec<String> = values(form, "account")
            .into_iter()
            .filter(|id| world.accounts.get(id).is_some_and(|account| account.login == login))
            .collect();
        let unlinked = values(form, "page");
        if login == LoginKind::Instagram && accounts.len() != 1 {
            return (StatusCode::BAD_REQUEST, Html(page::error("Choose one account"))).into_response();
        }
        let grant = Grant { app_id: asked.app.app_id.clone(), accounts, unlinked, scopes };
        let code = ids::letters(120);
        let expires_ms = now + world.settings.login.code_life_ms;
        let redirect_uri = value(query, "redirect_uri");
        world.logins.codes.insert(code.clone(), Code { grant, redirect_uri, expires_ms });
        back(&asked, &[("code", code.as_str())])
    })
}

/// Sends the person back to the app. Instagram appends `#_`.
fn back(asked: &Asked, parameters: &[(&str, &str)]) -> Response {
    let mut url = asked.redirect.clone();
    url.query_pairs_mut().extend_pairs(parameters).append_pair("state", &asked.state);
    url.set_fragment(Some("_"));
    Redirect::to(url.as_str()).into_response()
}
