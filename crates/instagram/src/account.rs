//! Accounts, their webhook subscriptions, and customer profiles.

use crate::graph::Request;
use crate::{Access, Graph, GraphError};
use dmrelay_domain::ids::InstagramUserId;
use dmrelay_domain::states::LoginKind;
use dmrelay_runtime::http::Method;
use serde_json::Value;

/// The account of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The professional account's id, as in webhooks. Not Graph's app-scoped `id`.
    pub instagram_account_id: String,
    /// The Page, with Facebook Login.
    pub page_id: Option<String>,
    /// The handle.
    pub username: Option<String>,
    /// The app-scoped id by which Meta's callbacks name the account's owner; with Instagram Login only.
    pub app_user_id: Option<String>,
}

/// A customer's profile. Any field may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// The handle.
    pub username: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// A link that expires within days.
    pub picture: Option<String>,
}

impl Graph {
    /// Looks up the account of a token (Meta, "Get started": `GET /me?fields=user_id,username`; with Facebook
    /// Login the Page and the Instagram account linked to it).
    ///
    /// # Errors
    /// [`GraphError`], of class `Invalid` for a token to which no Instagram account belongs.
    pub async fn identify(&self, access: &Access) -> Result<Account, GraphError> {
        let (node, fields) = match access.login {
            LoginKind::Instagram => ("me", "id,user_id,username,name,account_type"),
            LoginKind::Facebook => (access.node.as_str(), "id,name,instagram_business_account{id,username}"),
        };
        let json = self.call(access, self.read("me", &[node], &[("fields", fields)])).await?;
        // The documentation wraps the response in `data`; real responses are flat.
        let json = if json["data"].is_array() { &json["data"][0] } else { &json };
        let (account, page) = match access.login {
            LoginKind::Instagram => (json, None),
            LoginKind::Facebook => (&json["instagram_business_account"], text(&json["id"])),
        };
        let id = if access.login == LoginKind::Instagram { &account["user_id"] } else { &account["id"] };
        let id = text(id).ok_or_else(|| {
            GraphError::missing(match access.login {
                LoginKind::Instagram => {
                    "the token belongs to no Instagram professional account: switch the account to a business or \
                     creator account, and create the token for it"
                }
                LoginKind::Facebook => {
                    "no Instagram professional account is linked to the Facebook Page: link it in the Page's settings, \
                     or use a token of the right Page"
                }
            })
        })?;
        let app_user_id = text(&account["id"]).filter(|_| access.login == LoginKind::Instagram);
        Ok(Account {
            instagram_account_id: id,
            page_id: page,
            username: text(&account["username"]),
            app_user_id,
        })
    }

    /// Subscribes the account's webhooks. Graph checks all field names at once; an unknown one fails the
    /// call.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn subscribe(&self, access: &Access, fields: &[String]) -> Result<(), GraphError> {
        let fields = fields.join(",");
        let path = [access.node.as_str(), "subscribed_apps"];
        let query = [("subscribed_fields", fields.as_str())];
        // Subscribing is idempotent.
        let request = Request { method: Method::POST, ..self.read("subscribe", &path, &query) };
        self.call(access, request).await.map(|_| ())
    }

    /// The webhook fields the account is currently subscribed to.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn subscriptions(&self, access: &Access) -> Result<Vec<String>, GraphError> {
        let path = [access.node.as_str(), "subscribed_apps"];
        let json = self.call(access, self.read("subscriptions", &path, &[])).await?;
        let apps = json["data"].as_array().into_iter().flatten();
        let fields = apps.filter_map(|app| app["subscribed_fields"].as_array()).flatten();
        let name = |field: &Value| text(field).or_else(|| text(&field["name"]));
        Ok(fields.filter_map(name).collect())
    }

    /// Unsubscribes the account's webhooks.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn unsubscribe(&self, access: &Access) -> Result<(), GraphError> {
        let path = [access.node.as_str(), "subscribed_apps"];
        let request = Request { method: Method::DELETE, ..self.read("unsubscribe", &path, &[]) };
        self.call(access, request).await.map(|_| ())
    }

    /// A customer's profile (Meta, "User profile"). Available only after they have written.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn profile(&self, access: &Access, user: &InstagramUserId) -> Result<Profile, GraphError> {
        let path = [user.as_str()];
        let query = [("fields", "name,username,profile_pic")];
        let request =
            Request { timeout: self.options.courtesy_timeout, ..self.read("profile", &path, &query) };
        let json = self.call(access, request).await?;
        Ok(Profile {
            username: text(&json["username"]),
            name: text(&json["name"]),
            picture: text(&json["profile_pic"]),
        })
    }
}

/// Meta writes ids as strings or numbers.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
