//! Meta's logins: where a person is sent to let an app use an account, and how the code that comes back becomes a token (Meta,
//! "Business Login for Instagram"; "Facebook Login: manually build a login flow").

use crate::account::text;
use crate::graph::SERVICE;
use crate::{Access, Graph, GraphError};
use dmrelay_domain::failure::Effect;
use dmrelay_domain::secret::Secret;
use dmrelay_domain::states::LoginKind;
use dmrelay_runtime::http::{self, Call, Method};
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// The addresses of the logins.
#[derive(Debug, Clone)]
pub struct LoginHosts {
    /// Where people log in to Instagram: `https://www.instagram.com/oauth/authorize`.
    pub instagram_authorize: Url,
    /// Where codes of Instagram Login are redeemed: `https://api.instagram.com`.
    pub instagram_oauth: Url,
    /// Where people log in to Facebook: `https://www.facebook.com`.
    pub facebook_dialog: Url,
}

/// An app in Meta's dashboard, as one of the two logins knows it.
#[derive(Debug, Clone)]
pub struct MetaApp {
    /// The login. Its ids and secrets differ from those of the other.
    pub login: LoginKind,
    /// The app's id.
    pub id: String,
    /// The app's secret.
    pub secret: Secret<String>,
    /// What people are asked for.
    pub scopes: Vec<String>,
    /// The configuration of Facebook Login for Business that takes the place of the scopes.
    pub config_id: Option<String>,
}

/// What a person has let the app do.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The long-lived token: of the account with Instagram Login, of the person with Facebook Login.
    pub token: Secret<String>,
    /// Its lifetime, if Meta told it.
    pub expires_in: Option<Duration>,
    /// The granted permissions, if Meta told them.
    pub permissions: Option<Vec<String>>,
    /// The app-scoped id of the person, by which Meta's callbacks name them; with Facebook Login only.
    pub user: Option<String>,
}

/// A Page of the person who logged in to Facebook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The Page's id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Its token, which does not expire.
    pub token: Secret<String>,
    /// The id of the Instagram account linked to it.
    pub account: Option<String>,
    /// That account's handle.
    pub username: Option<String>,
}

/// Meta's logins, for any app; cheap to clone.
#[derive(Clone)]
pub struct Login {
    graph: Graph,
    hosts: LoginHosts,
}

/// Without these no message is received or answered (Meta, "Webhooks": permissions).
const NEEDED_OF_INSTAGRAM: &[&str] = &["instagram_business_basic", "instagram_business_manage_messages"];

/// The same for a Page. Without `pages_messaging` no message arrives.
const NEEDED_OF_FACEBOOK: &[&str] =
    &["instagram_basic", "instagram_manage_messages", LIST_PAGES, "pages_manage_metadata", "pages_messaging"];

const LIST_PAGES: &str = "pages_show_list";

/// The list of a person's Pages is read up to so many pages.
const LISTS_MAX: usize = 20;

/// Pages asked for at once.
const LIST_SIZE: &str = "100";

/// The permissions without which an account cannot be used.
pub fn needed_permissions(login: LoginKind) -> &'static [&'static str] {
    match login {
        LoginKind::Instagram => NEEDED_OF_INSTAGRAM,
        LoginKind::Facebook => NEEDED_OF_FACEBOOK,
    }
}

/// Those without which a connected account receives or answers nothing: to list Pages is needed only to choose one.
pub fn used_permissions(login: LoginKind) -> impl Iterator<Item = &'static &'static str> {
    needed_permissions(login).iter().filter(|name| **name != LIST_PAGES)
}

impl Login {
    /// The logins at these addresses; tokens are exchanged at those of `graph`.
    pub fn new(graph: Graph, hosts: LoginHosts) -> Self {
        Self { graph, hosts }
    }

    /// Where a person lets the app use an account. They come back to `redirect` with a code and with `state`.
    pub fn authorize_url(&self, app: &MetaApp, redirect: &Url, state: &str) -> Url {
        let mut url = match app.login {
            LoginKind::Instagram => self.hosts.instagram_authorize.clone(),
            LoginKind::Facebook => {
                let version = self.graph.options.version.as_str();
                http::join(&self.hosts.facebook_dialog, &[version, "dialog", "oauth"])
            }
        };
        let mut query = url.query_pairs_mut();
        query
            .append_pair("client_id", &app.id)
            .append_pair("redirect_uri", redirect.as_str())
            .append_pair("response_type", "code")
            .append_pair("state", state);
        match &app.config_id {
            Some(id) => query.append_pair("config_id", id),
            None => query.append_pair("scope", &app.scopes.join(",")),
        };
        drop(query);
        url
    }

    /// Redeems a code, once, for a long-lived token.
    ///
    /// # Errors
    /// [`GraphError`], of class `Invalid` for a code that is not valid any more.
    pub async fn redeem(&self, app: &MetaApp, redirect: &Url, code: &str) -> Result<Grant, GraphError> {
        // Meta appends `#_` to the address, which is no part of the code.
        let code = code.strip_suffix("#_").unwrap_or(code);
        match app.login {
            LoginKind::Instagram => self.redeem_of_instagram(app, redirect, code).await,
            LoginKind::Facebook => self.redeem_of_facebook(app, redirect, code).await,
        }
    }

    async fn redeem_of_instagram(
        &self,
        app: &MetaApp,
        redirect: &Url,
        code: &str,
    ) -> Result<Grant, GraphError> {
        let url = http::join(&self.hosts.instagram_oauth, &["oauth", "access_token"]);
        let field = |text: &str| Secret::new(text.to_owned());
        let form = vec![
            ("client_id", field(&app.id)),
            ("client_secret", app.secret.clone()),
            ("grant_type", field("authorization_code")),
            ("redirect_uri", field(redirect.as_str())),
            ("code", field(code)),
        ];
        let json = self.call(Call { form, method: Method::POST, ..self.base("redeem_code", url) }).await?;
        // Documented in `data`; real responses are flat.
        let json = if json["data"].is_array() { &json["data"][0] } else { &json };
        let short = token(json)?;
        let permissions = permissions(&json["permissions"]);
        // Documented without a version, with the token in the query; our errors contain no URL.
        let mut url = http::join(&self.graph.options.instagram, &["access_token"]);
        url.query_pairs_mut()
            .append_pair("grant_type", "ig_exchange_token")
            .append_pair("client_secret", app.secret.expose())
            .append_pair("access_token", short.expose());
        let json = self.call(self.base("exchange_token", url)).await?;
        Ok(Grant { token: token(&json)?, expires_in: lifetime(&json), permissions, user: None })
    }

    async fn redeem_of_facebook(
        &self,
        app: &MetaApp,
        redirect: &Url,
        code: &str,
    ) -> Result<Grant, GraphError> {
        let of = |pairs: &[(&str, &str)]| {
            let version = self.graph.options.version.as_str();
            let mut url = http::join(&self.graph.options.facebook, &[version, "oauth", "access_token"]);
            url.query_pairs_mut()
                .append_pair("client_id", &app.id)
                .append_pair("client_secret", app.secret.expose())
                .extend_pairs(pairs);
            url
        };
        let url = of(&[("redirect_uri", redirect.as_str()), ("code", code)]);
        let json = self.call(self.base("redeem_code", url)).await?;
        let short = token(&json)?;
        let url = of(&[("grant_type", "fb_exchange_token"), ("fb_exchange_token", short.expose())]);
        let json = self.call(self.base("exchange_token", url)).await?;
        let long = token(&json)?;
        let granted = self.granted(app, &long).await?;
        let me =
            self.graph.call(&person(app, &long), self.graph.read("me", &["me"], &[("fields", "id")])).await?;
        let user = text(&me["id"]);
        Ok(Grant { token: long, expires_in: lifetime(&json), permissions: Some(granted), user })
    }

    /// The permissions of a person's token (Graph API, "User permissions").
    async fn granted(&self, app: &MetaApp, token: &Secret<String>) -> Result<Vec<String>, GraphError> {
        let person = person(app, token);
        let request = self.graph.read("permissions", &["me", "permissions"], &[]);
        let json = self.graph.call(&person, request).await?;
        let all = json["data"].as_array().into_iter().flatten();
        let granted = all.filter(|one| one["status"] == "granted");
        Ok(granted.filter_map(|one| text(&one["permission"])).collect())
    }

    /// The Pages of the person whose token this is, with their tokens.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn pages(&self, app: &MetaApp, token: &Secret<String>) -> Result<Vec<Page>, GraphError> {
        let person = person(app, token);
        let fields = "id,name,access_token,instagram_business_account{id,username}";
        let mut pages = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..LISTS_MAX {
            let mut query = vec![("fields", fields), ("limit", LIST_SIZE)];
            query.extend(after.as_deref().map(|after| ("after", after)));
            let json =
                self.graph.call(&person, self.graph.read("pages", &["me", "accounts"], &query)).await?;
            let list = json["data"]
                .as_array()
                .ok_or_else(|| GraphError::odd(Effect::Read, "the answer has no list of Pages"))?;
            pages.extend(list.iter().filter_map(page));
            let paging = Some(&json["paging"]).filter(|paging| paging["next"].is_string());
            after = paging.and_then(|paging| text(&paging["cursors"]["after"]));
            if after.is_none() {
                return Ok(pages);
            }
        }
        tracing::warn!(pages = pages.len(), "somebody has more Pages than are listed");
        Ok(pages)
    }

    fn base(&self, operation: &'static str, url: Url) -> Call {
        Call::get((SERVICE, operation), url, self.graph.options.timeout)
    }

    /// A code that may have been redeemed without our learning the token is lost; the person logs in once more.
    async fn call(&self, call: Call) -> Result<Value, GraphError> {
        self.graph.answer(Effect::Read, call).await
    }
}

/// Calls in the name of a person.
pub(crate) fn person(app: &MetaApp, token: &Secret<String>) -> Access {
    let access =
        Access { login: LoginKind::Facebook, node: "me".to_owned(), token: token.clone(), proof: None };
    access.proven_by(&app.secret)
}

fn token(json: &Value) -> Result<Secret<String>, GraphError> {
    let token = text(&json["access_token"]).map(Secret::new);
    token.ok_or_else(|| GraphError::odd(Effect::Read, "the answer has no access_token"))
}

fn lifetime(json: &Value) -> Option<Duration> {
    json["expires_in"].as_u64().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// Documented as one text with commas; implementations report lists.
fn permissions(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(all) => {
            Some(all.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect())
        }
        Value::Array(all) => Some(all.iter().filter_map(text).collect()),
        _ => None,
    }
}

fn page(json: &Value) -> Option<Page> {
    let account = &json["instagram_business_account"];
    Some(Page {
        id: text(&json["id"])?,
        name: text(&json["name"]),
        token: text(&json["access_token"]).map(Secret::new)?,
        account: text(&account["id"]),
        username: text(&account["username"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn permissions_are_read_in_both_shapes() {
        let both = Some(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(permissions(&json!("a, b,")), both);
        assert_eq!(permissions(&json!(["a", "b"])), both);
        assert_eq!(permissions(&Value::Null), None);
    }

    #[test]
    fn a_page_without_an_account_is_a_page() {
        let read = page(&json!({"id": 7, "access_token": "EAAP"}));
        assert_eq!(read.as_ref().map(|page| (page.id.as_str(), page.account.is_none())), Some(("7", true)));
        assert_eq!(page(&json!({"id": "7"})), None);
    }
}
