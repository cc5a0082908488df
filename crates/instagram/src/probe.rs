//! What Meta tells about an account's health besides its messages.

use crate::oauth::person;
use crate::{Access, Graph, GraphError, MetaApp};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::failure::Effect;
use dmrelay_domain::secret::Secret;
use serde_json::Value;

/// What Graph tells about a token (Graph API, "debug_token").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// Whether Meta accepts it.
    pub is_valid: bool,
    /// What its owner has granted.
    pub scopes: Vec<String>,
    /// When it ends, in milliseconds, if it does: the token itself, or the app's access to the data.
    pub ends_at: Option<Millis>,
}

impl Graph {
    /// Whether the account's conversations may be read: asks for one of them (Meta, "Conversations API").
    ///
    /// # Errors
    /// [`GraphError`]; [`GraphError::is_access_off`] where the account's owner lets no app read messages.
    pub async fn probe_messages(&self, access: &Access) -> Result<(), GraphError> {
        let path = [access.node.as_str(), "conversations"];
        let query = [("platform", "instagram"), ("fields", "id"), ("limit", "1")];
        self.call(access, self.read("conversations", &path, &query)).await.map(|_| ())
    }

    /// What Graph tells about a token of an app of Facebook Login. It is not documented for Instagram Login.
    ///
    /// # Errors
    /// [`GraphError`], also if the token is another app's.
    pub async fn token_facts(&self, app: &MetaApp, token: &Secret<String>) -> Result<TokenFacts, GraphError> {
        // An app's own token is its id and its secret.
        let own = Secret::new(format!("{}|{}", app.id, app.secret.expose()));
        let access = Access { proof: None, ..person(app, &own) };
        let query = [("input_token", token.expose().as_str())];
        let json = self.call(&access, self.read("debug_token", &["debug_token"], &query)).await?;
        let data = &json["data"];
        if !data.is_object() {
            return Err(GraphError::odd(Effect::Read, "the answer has no data"));
        }
        let scopes = data["scopes"].as_array().into_iter().flatten();
        // Zero: never.
        let end = |name: &str| data[name].as_i64().filter(|end| *end > 0).map(|end| end * 1_000);
        Ok(TokenFacts {
            is_valid: data["is_valid"] == Value::Bool(true),
            scopes: scopes.filter_map(|scope| scope.as_str().map(str::to_owned)).collect(),
            ends_at: end("expires_at").into_iter().chain(end("data_access_expires_at")).min(),
        })
    }
}
