//! What Graph says of an access token, and what is told of Graph's errors.

use crate::problem::Problem;
use crate::state::ApiState;
use axum::http::StatusCode;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::secret::Secret;
use dmrelay_domain::states::LoginKind;
use dmrelay_instagram::{Access, Account, GraphError};
use dmrelay_runtime::settings::AppSecretProof;

/// Whose token it is, and how Graph is called with it. Where the secrets of Meta apps are known and used, one of them must be that
/// of the token's app: another app's token would bring webhooks that nobody here can verify.
pub(crate) async fn identify(
    state: &ApiState,
    access: Access,
    app_secret: Option<&Secret<String>>,
) -> Result<(Access, Account), Problem> {
    let is_proven = match state.options.graph.appsecret_proof {
        AppSecretProof::Off => false,
        AppSecretProof::Facebook => access.login == LoginKind::Facebook,
        AppSecretProof::All => true,
    };
    let own = app_secret.map(std::slice::from_ref);
    let platform = state.secrets.get();
    let secrets = own.unwrap_or(&platform.app_secrets);
    if !is_proven || secrets.is_empty() {
        let found = state.graph.identify(&access).await.map_err(|err| graph_problem(&err))?;
        return Ok((access, found));
    }
    for secret in secrets {
        let proven = access.clone().proven_by(secret);
        match state.graph.identify(&proven).await {
            Ok(found) => return Ok((proven, found)),
            Err(err) if err.is_about_proof() => {}
            Err(err) => return Err(graph_problem(&err)),
        }
    }
    Err(Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "token-of-another-app",
        "The token belongs to another Meta app",
    )
    .detail("no app secret that is known here proves it: the operator's META_APP_SECRETS, or the call's appSecret"))
}

/// Maps a Graph error to a problem the frontend can show.
pub(crate) fn graph_problem(err: &GraphError) -> Problem {
    tracing::warn!(class = err.class.as_str(), code = %err.code, "Graph rejected an API call");
    let (status, kind, title) = match err.class {
        FailureClass::Transient | FailureClass::Ambiguous if err.is_foreign() => {
            let title = "What responds at the address of the Graph API is something else";
            let what = format!("check GRAPH_URL and INSTAGRAM_GRAPH_URL ({}: {})", err.code, err.message);
            return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "graph-misconfigured", title).detail(what);
        }
        FailureClass::Reauth => {
            (StatusCode::UNPROCESSABLE_ENTITY, "token-rejected", "Meta rejected the access token")
        }
        FailureClass::Invalid if err.is_missing() => {
            (StatusCode::UNPROCESSABLE_ENTITY, "no-instagram-account", "The token has no Instagram account")
        }
        FailureClass::Restricted => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "missing-permission",
            "Meta does not allow this for the account or the app",
        ),
        FailureClass::Transient | FailureClass::Ambiguous | FailureClass::Throttled => {
            (StatusCode::SERVICE_UNAVAILABLE, "graph-unavailable", "Meta is unreachable")
        }
        _ => (StatusCode::UNPROCESSABLE_ENTITY, "graph-refused", "Meta rejected the request"),
    };
    let problem =
        Problem::new(status, kind, title).detail(err.message.clone()).with("graphCode", err.code.as_str());
    match (status, err.retry_after) {
        (StatusCode::SERVICE_UNAVAILABLE, after) => {
            problem.retry_after(after.map_or(5, |after| after.as_secs()))
        }
        _ => problem,
    }
}
