//! Professional accounts, their tokens and subscriptions.

use serde::{Deserialize, Serialize};

use super::World;
use crate::settings::WebhookTarget;

/// 60 days, as `expires_in` of long-lived tokens.
pub(crate) const LONG_TOKEN_SECONDS: i64 = 5_183_944;

/// The product with which the account was connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginKind {
    /// Instagram API with Instagram Login: graph.instagram.com, an Instagram user token.
    #[default]
    Instagram,
    /// Instagram API with Facebook Login: graph.facebook.com, a Page token.
    Facebook,
}

/// An account as specified by a test or a control call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountSpec {
    /// The professional id that webhooks carry.
    pub account_id: String,
    /// The app-scoped id that `GET /me` calls `id`. Default: derived, and different.
    #[serde(default)]
    pub app_scoped_id: Option<String>,
    /// The linked Page, for Facebook Login. Default: derived.
    #[serde(default)]
    pub page_id: Option<String>,
    /// Username.
    pub username: String,
    /// Display name. Default: the username.
    #[serde(default)]
    pub name: Option<String>,
    /// Its access token: an Instagram user token or a Page token.
    pub access_token: String,
    /// The product.
    #[serde(default)]
    pub login_kind: LoginKind,
    /// Granted permissions. Default: all that messaging needs. `human_agent` stands for the reviewed feature.
    #[serde(default)]
    pub permissions: Option<Vec<String>>,
    /// Fields it is subscribed to from the start. Default: not subscribed.
    #[serde(default)]
    pub subscribed_fields: Option<Vec<String>>,
    /// Its own webhook target (its own Meta app).
    #[serde(default)]
    pub webhook: Option<WebhookTarget>,
    /// How old the token is. Default: 2 days, so that it may be refreshed.
    #[serde(default = "two_days_ms")]
    pub token_age_ms: i64,
}

impl AccountSpec {
    /// An account that is not subscribed yet.
    pub fn new(account_id: &str, username: &str, access_token: &str) -> Self {
        Self {
            account_id: account_id.to_owned(),
            app_scoped_id: None,
            page_id: None,
            username: username.to_owned(),
            name: None,
            access_token: access_token.to_owned(),
            login_kind: LoginKind::Instagram,
            permissions: None,
            subscribed_fields: None,
            webhook: None,
            token_age_ms: two_days_ms(),
        }
    }

    /// Connected with Facebook Login.
    #[must_use]
    pub fn facebook_login(self, page_id: &str) -> Self {
        Self { login_kind: LoginKind::Facebook, page_id: Some(page_id.to_owned()), ..self }
    }

    /// Subscribed from the start, to the fields messaging uses.
    #[must_use]
    pub fn subscribed(self) -> Self {
        let fields = match self.login_kind {
            LoginKind::Instagram => MESSAGING_FIELDS,
            LoginKind::Facebook => &["feed"],
        };
        Self { subscribed_fields: Some(fields.iter().map(|&field| field.to_owned()).collect()), ..self }
    }

    /// With a webhook target of its own.
    #[must_use]
    pub fn webhook(self, target: WebhookTarget) -> Self {
        Self { webhook: Some(target), ..self }
    }
}

/// The fields `AccountSpec::subscribed` subscribes to.
const MESSAGING_FIELDS: &[&str] = &[
    "messages",
    "messaging_postbacks",
    "messaging_seen",
    "messaging_referral",
    "messaging_handover",
    "message_reactions",
    "message_edit",
    "standby",
    "comments",
    "live_comments",
    "mentions",
];

fn two_days_ms() -> i64 {
    2 * 24 * 3_600_000
}

/// An account as stored by the simulator.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) app_scoped_id: String,
    pub(crate) page_id: String,
    pub(crate) username: String,
    pub(crate) name: String,
    pub(crate) login: LoginKind,
    pub(crate) permissions: Vec<String>,
    /// None: not subscribed.
    pub(crate) subscribed: Option<Vec<String>>,
    pub(crate) webhook: Option<WebhookTarget>,
    /// Its owner lets no app read its messages.
    pub(crate) access_off: bool,
    /// Its ice breakers and its menu.
    pub(crate) profile: serde_json::Map<String, serde_json::Value>,
    #[serde(skip)]
    pub(crate) recent_sends: Vec<i64>,
    #[serde(skip)]
    pub(crate) recent_conversation_calls: Vec<i64>,
}

impl Account {
    pub(crate) fn may(&self, permission: &str) -> bool {
        self.permissions.iter().any(|granted| granted == permission)
    }

    /// The permissions that were granted last count (assumption). The reviewed feature is not the person's to grant.
    pub(crate) fn grant(&mut self, scopes: &[String]) {
        self.permissions.retain(|permission| permission == "human_agent");
        self.permissions.extend_from_slice(scopes);
    }

    /// Whether an update of this field is sent. With Facebook Login the Instagram fields are chosen in the app's
    /// dashboard (assumed: all of them), and the Page only has to be subscribed to something.
    pub(crate) fn wants(&self, field: &str) -> bool {
        match (&self.subscribed, self.login) {
            (None, _) => false,
            (Some(fields), LoginKind::Facebook) => !fields.is_empty(),
            (Some(fields), LoginKind::Instagram) => fields.iter().any(|subscribed| subscribed == field),
        }
    }

    /// Scopes of `permissions`, by product (Meta, "Webhooks": permissions).
    pub(crate) fn messaging_permission(&self) -> &'static str {
        match self.login {
            LoginKind::Instagram => "instagram_business_manage_messages",
            LoginKind::Facebook => "instagram_manage_messages",
        }
    }

    pub(crate) fn basic_permission(&self) -> &'static str {
        match self.login {
            LoginKind::Instagram => "instagram_business_basic",
            LoginKind::Facebook => "instagram_basic",
        }
    }
}

/// Whether a token is still valid, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// Valid until it expires.
    Valid,
    /// Expired: 190/463.
    Expired,
    /// The password was changed: 190/460.
    Revoked,
    /// The user removed the app: 190/458.
    AppRemoved,
}

/// An access token.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) account: String,
    pub(crate) state: TokenState,
    pub(crate) issued_ms: i64,
    /// None: Page tokens do not expire.
    pub(crate) expires_ms: Option<i64>,
    /// When the app's access to the account's data ends, with Facebook Login. None: not soon.
    pub(crate) data_access_ends_ms: Option<i64>,
}

impl World {
    /// Adds an account, or replaces it with all its tokens.
    pub(crate) fn put_account(&mut self, spec: AccountSpec, now: i64) {
        self.tokens.retain(|_, token| token.account != spec.account_id);
        let issued_ms = now - spec.token_age_ms;
        let expires_ms = match spec.login_kind {
            LoginKind::Instagram => Some(issued_ms + LONG_TOKEN_SECONDS * 1000),
            LoginKind::Facebook => None,
        };
        let token = Token {
            account: spec.account_id.clone(),
            state: TokenState::Valid,
            issued_ms,
            expires_ms,
            data_access_ends_ms: None,
        };
        self.tokens.insert(spec.access_token.clone(), token);
        let permissions = spec.permissions.clone().unwrap_or_else(|| default_permissions(spec.login_kind));
        let account = Account {
            app_scoped_id: spec.app_scoped_id.clone().unwrap_or_else(|| format!("26{}", spec.account_id)),
            page_id: spec.page_id.clone().unwrap_or_else(|| format!("10{}", spec.account_id)),
            name: spec.name.clone().unwrap_or_else(|| spec.username.clone()),
            username: spec.username,
            login: spec.login_kind,
            permissions,
            subscribed: spec.subscribed_fields,
            webhook: spec.webhook,
            access_off: false,
            profile: serde_json::Map::new(),
            recent_sends: Vec::new(),
            recent_conversation_calls: Vec::new(),
            id: spec.account_id.clone(),
        };
        self.accounts.insert(spec.account_id, account);
    }

    /// Changes the state of all of an account's tokens.
    pub(crate) fn set_tokens(&mut self, account: &str, state: TokenState) {
        for token in self.tokens.values_mut().filter(|token| token.account == account) {
            token.state = state;
        }
    }
}

fn default_permissions(login: LoginKind) -> Vec<String> {
    let names: &[&str] = match login {
        LoginKind::Instagram => &[
            "instagram_business_basic",
            "instagram_business_manage_messages",
            "instagram_business_manage_comments",
            "human_agent",
        ],
        LoginKind::Facebook => &[
            "instagram_basic",
            "instagram_manage_messages",
            "instagram_manage_comments",
            "pages_manage_metadata",
            "pages_read_engagement",
            "pages_show_list",
            "pages_messaging",
            "human_agent",
        ],
    };
    names.iter().map(|&name| name.to_owned()).collect()
}
