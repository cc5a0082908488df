//! The Meta apps that may ask people to log in.

use serde::{Deserialize, Serialize};

use crate::world::World;
use crate::world::account::LoginKind;

/// What the login pages know, and how they behave.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoginSettings {
    /// The apps. None: nobody can log in.
    pub apps: Vec<MetaApp>,
    /// Pages without an Instagram account, which Facebook Login offers too.
    pub unlinked_pages: Vec<UnlinkedPage>,
    /// Answer a code of Instagram Login as documented, wrapped in `data`; off: flat, as implementations report.
    pub documented_shape: bool,
    /// How long a code is valid (Meta, "Business Login": 1 hour).
    pub code_life_ms: i64,
    /// Grant these permissions, whatever the person has chosen. None: what they have chosen.
    pub grant_only: Option<Vec<String>>,
}

/// An app in Meta's dashboard, with one login product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetaApp {
    /// Its id: with Instagram Login the *Instagram* app id.
    pub app_id: String,
    /// Its secret.
    pub app_secret: String,
    /// Its name, as people see it.
    pub name: String,
    /// The login.
    pub login_kind: LoginKind,
    /// Where people may be sent back to; exact.
    pub redirect_uris: Vec<String>,
    /// The permissions of its Login for Business configurations, by their id.
    #[serde(default)]
    pub configurations: std::collections::BTreeMap<String, Vec<String>>,
}

/// A Page without an Instagram account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnlinkedPage {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl Default for LoginSettings {
    fn default() -> Self {
        Self {
            apps: Vec::new(),
            unlinked_pages: Vec::new(),
            documented_shape: false,
            code_life_ms: 3_600_000,
            grant_only: None,
        }
    }
}

/// The app with this id and login.
pub(crate) fn app_of<'world>(world: &'world World, login: LoginKind, id: &str) -> Option<&'world MetaApp> {
    world.settings.login.apps.iter().find(|app| app.login_kind == login && app.app_id == id)
}

/// The app, if the secret is its own.
pub(super) fn proven<'a>(
    apps: &'a [MetaApp],
    login: LoginKind,
    id: &str,
    secret: &str,
) -> Option<&'a MetaApp> {
    apps.iter().find(|app| app.login_kind == login && app.app_id == id && app.app_secret == secret)
}
