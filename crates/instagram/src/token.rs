//! Renewal of Instagram Login tokens (Meta, "Business Login for Instagram": refresh a long-lived token). A
//! Page's token cannot be renewed.

use crate::account::text;
use crate::graph::SERVICE;
use crate::{Access, Graph, GraphError};
use dmrelay_domain::failure::Effect;
use dmrelay_domain::secret::Secret;
use dmrelay_runtime::http::{self, Call};
use std::time::Duration;

/// The replacement of a token.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// The token.
    pub token: Secret<String>,
    /// Its lifetime, if Graph returned it.
    pub expires_in: Option<Duration>,
}

impl Graph {
    /// Renews the token of an access with Instagram Login: it must be at least a day old, and not expired.
    /// The old token is no longer used.
    ///
    /// # Errors
    /// [`GraphError`], also for a response without a token.
    pub async fn refresh(&self, access: &Access) -> Result<Refreshed, GraphError> {
        // Documented without a version in the path, and with the token in the query; our errors contain no
        // URL.
        let mut url = http::join(&self.options.instagram, &["refresh_access_token"]);
        url.query_pairs_mut()
            .append_pair("grant_type", "ig_refresh_token")
            .append_pair("access_token", access.token.expose());
        let call = Call::get((SERVICE, "refresh_token"), url, self.options.timeout);
        // Safe to retry: a token may be renewed any number of times.
        let json = self.answer(Effect::Read, call).await?;
        let token = text(&json["access_token"])
            .ok_or_else(|| GraphError::odd(Effect::Read, "the answer has no access_token"))?;
        let expires_in = json["expires_in"].as_u64().map(Duration::from_secs);
        Ok(Refreshed { token: Secret::new(token), expires_in })
    }
}
