//! Calls to both Graph hosts. Tokens are sent in the `Authorization` header, never in a URL.

use crate::GraphError;
use dmrelay_domain::failure::Effect;
use dmrelay_domain::ids::{InstagramAccountId, PageId};
use dmrelay_domain::secret::Secret;
use dmrelay_domain::signature;
use dmrelay_domain::states::LoginKind;
use dmrelay_runtime::http::{self, Call, Client, Method, Part};
use dmrelay_runtime::settings::GraphSettings;
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// Connection settings for Graph.
#[derive(Debug, Clone)]
pub struct GraphOptions {
    /// `https://graph.facebook.com`, for Facebook Login.
    pub facebook: Url,
    /// `https://graph.instagram.com`, for Instagram Login.
    pub instagram: Url,
    /// The API version in the path: `v25.0`.
    pub version: String,
    /// Timeout of a call.
    pub timeout: Duration,
    /// Timeout of mark-seen, typing and profile calls.
    pub courtesy_timeout: Duration,
}

/// The credentials of a call.
#[derive(Debug, Clone)]
pub struct Access {
    /// The login, which determines the host.
    pub login: LoginKind,
    /// The node in the path: the Instagram account, or the Page with Facebook Login. Digits, or `me`.
    pub node: String,
    /// The access token.
    pub token: Secret<String>,
    /// The token's `appsecret_proof`, if it is sent along.
    pub proof: Option<Secret<String>>,
}

/// The Graph API; cheap to clone.
#[derive(Clone)]
pub struct Graph {
    client: Client,
    pub(crate) options: GraphOptions,
}

/// Graph's name in the metrics.
pub(crate) const SERVICE: &str = "graph";

/// All operations, for the metrics.
const OPERATIONS: [&str; 21] = [
    "me",
    "subscribe",
    "subscriptions",
    "unsubscribe",
    "profile",
    "send",
    "sender_action",
    "conversations",
    "conversation",
    "refresh_token",
    "redeem_code",
    "exchange_token",
    "permissions",
    "pages",
    "debug_token",
    "message",
    "inbox_profile",
    "set_inbox_profile",
    "thread_owner",
    "control_thread",
    "upload",
];

/// A call without its credentials.
pub(crate) struct Request<'a> {
    pub(crate) operation: &'static str,
    pub(crate) effect: Effect,
    pub(crate) method: Method,
    /// Path segments after the version.
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) json: Option<Value>,
    /// The parts of a form with a file, in place of JSON.
    pub(crate) parts: Vec<Part>,
    pub(crate) timeout: Duration,
}

impl From<&GraphSettings> for GraphOptions {
    fn from(settings: &GraphSettings) -> Self {
        Self {
            facebook: settings.graph_url.clone(),
            instagram: settings.instagram_graph_url.clone(),
            version: settings.graph_version.clone(),
            timeout: settings.graph_timeout,
            courtesy_timeout: settings.graph_courtesy_timeout,
        }
    }
}

impl Access {
    /// The access of a connection: calls name the Instagram account, or the Page with Facebook Login.
    pub fn new(
        login: LoginKind,
        account: &InstagramAccountId,
        page: Option<&PageId>,
        token: Secret<String>,
    ) -> Self {
        let node = match (login, page) {
            (LoginKind::Facebook, Some(page)) => page.to_string(),
            (LoginKind::Facebook, None) => "me".to_owned(),
            (LoginKind::Instagram, _) => account.to_string(),
        };
        Self { login, node, token, proof: None }
    }
}

impl Access {
    /// The same, with the proof that the secret of the token's app is known.
    #[must_use]
    pub fn proven_by(self, app_secret: &Secret<String>) -> Self {
        let token = self.token.expose().as_bytes();
        let proof = Secret::new(signature::app_secret_proof(app_secret.expose().as_bytes(), token));
        Self { proof: Some(proof), ..self }
    }
}

impl Graph {
    /// Creates a connector that calls through `client`.
    pub fn new(client: Client, options: GraphOptions) -> Self {
        client.expect_calls(SERVICE, &OPERATIONS);
        Self { client, options }
    }

    /// Timeout of a call.
    pub fn timeout(&self) -> Duration {
        self.options.timeout
    }

    pub(crate) fn read<'a>(
        &self,
        operation: &'static str,
        path: &'a [&'a str],
        query: &'a [(&'a str, &'a str)],
    ) -> Request<'a> {
        let timeout = self.options.timeout;
        let (effect, method) = (Effect::Read, Method::GET);
        Request { operation, effect, method, path, query, json: None, parts: Vec::new(), timeout }
    }

    /// Makes the call and returns the JSON of a successful response.
    ///
    /// A proof that Meta does not accept any more, because the app's secret was changed, is left out: an app that asks for none is
    /// answered all the same. Only at connect, by `me`, it must hold.
    pub(crate) async fn call(&self, access: &Access, request: Request<'_>) -> Result<Value, GraphError> {
        let answer = self.call_with(access, access.proof.as_ref(), &request).await;
        match answer {
            Err(err) if err.is_about_proof() && access.proof.is_some() && request.operation != "me" => {
                tracing::warn!(
                    node = access.node,
                    "Meta does not accept the app secret's proof: connect the account again"
                );
                self.call_with(access, None, &request).await
            }
            answer => answer,
        }
    }

    async fn call_with(
        &self,
        access: &Access,
        proof: Option<&Secret<String>>,
        request: &Request<'_>,
    ) -> Result<Value, GraphError> {
        let host = match access.login {
            LoginKind::Instagram => &self.options.instagram,
            LoginKind::Facebook => &self.options.facebook,
        };
        let mut segments = vec![self.options.version.as_str()];
        segments.extend(request.path);
        let mut url = http::join(host, &segments);
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query);
        }
        if let Some(proof) = proof {
            url.query_pairs_mut().append_pair("appsecret_proof", proof.expose());
        }
        let call = Call {
            method: request.method.clone(),
            bearer: Some(access.token.clone()),
            json: request.json.clone(),
            parts: request.parts.clone(),
            ..Call::get((SERVICE, request.operation), url, request.timeout)
        };
        self.answer(request.effect, call).await
    }

    /// The JSON of a successful response.
    pub(crate) async fn answer(&self, effect: Effect, call: Call) -> Result<Value, GraphError> {
        let operation = call.operation;
        let answer = match self.client.send(call).await {
            Err(failure) => Err(GraphError::no_answer(effect, &failure)),
            Ok(answer) if !answer.is_success() => Err(GraphError::answered(effect, &answer)),
            Ok(answer) => answer.json().ok_or_else(|| GraphError::odd(effect, "the body is not JSON")),
        };
        answer.inspect_err(|err| self.client.failed(SERVICE, operation, err.class))
    }
}
