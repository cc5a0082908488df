//! Meta's logins: the pages on which a person lets an app use an account, and what the app gets for the code it is given.
//!
//! Sources: Meta's pages "Business Login for Instagram" and "Facebook Login: manually build a login flow".

mod apps;
mod consent;
mod facebook;
mod instagram;
mod page;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::engine::Core;
use crate::world::account::LoginKind;

pub(crate) use apps::app_of;
pub use apps::{LoginSettings, MetaApp, UnlinkedPage};
pub(crate) use facebook::{execute, operation};

/// `/login/…`, in place of www.instagram.com and api.instagram.com, and of www.facebook.com.
pub(crate) fn routes() -> Router<Arc<Core>> {
    let instagram = get(consent::instagram).post(consent::instagram_decided);
    let facebook = get(consent::facebook).post(consent::facebook_decided);
    Router::new()
        .route("/instagram/oauth/authorize", instagram)
        .route("/instagram/oauth/access_token", post(instagram::redeem))
        .route("/facebook/{version}/dialog/oauth", facebook)
}

/// What people have let apps do.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    codes: HashMap<String, Code>,
    /// User tokens of Facebook Login.
    users: HashMap<String, UserToken>,
}

/// A code on its way to the app.
#[derive(Debug)]
struct Code {
    grant: Grant,
    redirect_uri: String,
    expires_ms: i64,
}

/// What a person has let an app do.
#[derive(Clone, Debug)]
struct Grant {
    app_id: String,
    /// The accounts, by their professional ids.
    accounts: Vec<String>,
    /// Chosen Pages without an account.
    unlinked: Vec<String>,
    scopes: Vec<String>,
}

/// A user token of Facebook Login.
#[derive(Clone, Debug)]
struct UserToken {
    grant: Grant,
    expires_ms: i64,
}

/// Why a code is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// No such app, its secret is another, or its login is.
    App,
    /// No such code, or used, expired, another app's, or with another redirect URI.
    Code,
}

impl Logins {
    /// Redeems a code, once.
    fn redeem(&mut self, apps: &[MetaApp], given: &Given<'_>, now: i64) -> Result<Grant, Refused> {
        apps::proven(apps, given.login, given.app_id, given.app_secret).ok_or(Refused::App)?;
        let code = self.codes.get(given.code).ok_or(Refused::Code)?;
        let fits = code.grant.app_id == given.app_id
            && code.redirect_uri == given.redirect_uri
            && now < code.expires_ms;
        if !fits {
            return Err(Refused::Code);
        }
        self.codes.remove(given.code).map(|code| code.grant).ok_or(Refused::Code)
    }
}

/// What an app sends to redeem a code.
struct Given<'a> {
    login: LoginKind,
    app_id: &'a str,
    app_secret: &'a str,
    redirect_uri: &'a str,
    code: &'a str,
}
