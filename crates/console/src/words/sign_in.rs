//! The page on which people sign in.

use super::PRODUCT;

pub(crate) const SIGN_IN: &str = "Sign in";
pub(crate) const SEVERAL_SUBACCOUNTS: &str = "I work for several subaccounts";
pub(crate) const SUBACCOUNT: &str = "Subaccount";
pub(crate) const OR_WITH_KEY: &str = "or with an API key";
pub(crate) const NAME: &str = "Your name";
pub(crate) const NAME_HINT: &str = "Colleagues see it next to what you write and do.";
pub(crate) const KEY: &str = "API key";
pub(crate) const KEY_HINT: &str = "An API key of your subaccount. You have the same permissions as the key.";
pub(crate) const BOOTSTRAP_KEY: &str = "I use the operator's bootstrap key";

pub(crate) fn heading() -> String {
    format!("Sign in to {PRODUCT}")
}

/// The button of an identity provider.
pub(crate) fn sign_in_with(provider: &str) -> String {
    format!("Sign in with {provider}")
}

/// The link of the quick start signs in once.
pub const LINK_IS_OLD: &str =
    "This link was used before, or is of an earlier start. Sign in with the API key that the terminal shows.";
