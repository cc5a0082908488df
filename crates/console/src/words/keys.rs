//! The API keys of a subaccount.

use dmrelay_domain::permission::Role;

pub(crate) const HINT: &str = "Your backend uses a key to call the REST API; colleagues use one to sign in \
    here. The role sets what a key may do.";
pub(crate) const NEW_KEY: &str = "New key";
pub(crate) const NAME: &str = "Name";
pub(crate) const NAME_EXAMPLE: &str = "frontend";
pub(crate) const ROLE: &str = "Role";
pub(crate) const VALID_DAYS: &str = "Valid for, in days";
pub(crate) const CREATE: &str = "Create";
/// Around the name of a new key; the key follows.
pub(crate) const CREATED: &str = "The key {}. Copy it now: it is not shown again.";
pub(crate) const CREATED_BY: &str = "Created by";
pub(crate) const LAST_USED: &str = "Last used";
pub(crate) const EXPIRES: &str = "Expires";
pub(crate) const NEVER: &str = "never";
pub(crate) const REVOKE: &str = "Revoke";
pub(crate) const REVOKED: &str = "revoked";
pub(crate) const NO_KEYS: &str = "There is no key yet.";

/// What a role may do.
pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Viewer => "Viewer: reads",
        Role::Operator => "Operator: also writes, takes over and replays",
        Role::Admin => "Admin: also connects accounts and changes settings",
        Role::Owner => "Owner: also manages keys",
    }
}

pub(crate) fn revoke(name: &str) -> String {
    format!("Revoke {name}")
}

pub(crate) fn confirm_revoke(name: &str) -> String {
    format!("Revoke the key {name}? Whoever uses it is locked out at once.")
}
