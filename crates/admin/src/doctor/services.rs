//! Checks whether Graph and Retell are reachable and accept our tokens and keys.

use super::report::{Report, Verdict};
use crate::settings::Settings;
use crate::times::span;
use dmrelay_agent::{ChatAgent as _, Opening, Retell, RetellOptions};
use dmrelay_domain::clock::millis;
use dmrelay_domain::current::Current;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::AgentId;
use dmrelay_domain::states::{ConnectionStatus, LoginKind};
use dmrelay_instagram::{Graph, GraphOptions};
use dmrelay_runtime::http::{self, Answer, Call, Client, Failure, is_private_path};
use dmrelay_runtime::settings::AgentSettings;
use dmrelay_store::{Connection, Store};
use dmrelay_vault::Vault;
use futures::StreamExt;
use std::time::{Duration, Instant};
use url::Url;
use uuid::Uuid;

/// Timeout of a call to Retell.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Maximum number of accounts checked concurrently.
const CALLS_MAX: usize = 5;

/// The checks over HTTP.
pub(super) struct Services<'a> {
    pub(super) settings: &'a Settings<'a>,
    pub(super) client: &'a Client,
    /// The database, if usable.
    pub(super) store: Option<&'a Store>,
}

impl Services<'_> {
    /// Checks the Graph hosts that accounts need, or both if there are no accounts.
    pub(super) async fn check_graph(&self, report: &mut Report) {
        let connections = self.connections().await;
        let needed = |login: LoginKind| connections.iter().any(|connection| connection.login == login);
        let settings = self.settings.graph;
        let hosts = [
            (LoginKind::Facebook, "GRAPH_URL", &settings.graph_url),
            (LoginKind::Instagram, "INSTAGRAM_GRAPH_URL", &settings.instagram_graph_url),
        ];
        for (login, setting, url) in hosts {
            if needed(login) || connections.is_empty() {
                self.check_host(setting, url, report).await;
            } else {
                report.ok(setting, format!("not checked: no account has {login} login"));
            }
        }
    }

    async fn check_host(&self, setting: &'static str, url: &Url, report: &mut Report) {
        let host = url.origin().ascii_serialization();
        let version = self.settings.graph.graph_version.as_str();
        // Any response shows that the host is reachable; what is said of a call without a token shows whether the version exists.
        let call = Call {
            service: "graph",
            timeout: self.settings.graph.graph_timeout,
            ..get(http::join(url, &[version, "me"]))
        };
        match self.client.send(call).await {
            Ok(answer) if is_unknown_path(&answer) => {
                let what = format!("{host} does not know {version}: set GRAPH_VERSION to one that exists");
                report.fail(setting, what);
            }
            Ok(answer) if answer.status >= 500 => {
                report
                    .warn(setting, format!("{host} responds with status {}: try again later", answer.status));
            }
            Ok(_) if !is_private_path(url) => {
                report
                    .warn(setting, format!("{host} is reachable, but tokens travel unencrypted: use https"));
            }
            Ok(_) => report.ok(setting, format!("{host} is reachable and knows {version}")),
            Err(err) => report.fail(setting, format!("{host} cannot be reached from here: {err}")),
        }
    }

    /// Checks whether the identity provider's keys can be fetched, if one is configured.
    pub(super) async fn check_jwks(&self, report: &mut Report) {
        const CHECK: &str = "JWKS_URL";
        let Some(url) = &self.settings.jwt.jwks_url else { return };
        let call = Call { service: "jwks", timeout: self.settings.jwt.jwks_timeout, ..get(url.clone()) };
        match self.client.send(call).await {
            Ok(answer) if answer.json().is_some_and(|json| json["keys"].is_array()) => {
                report.ok(CHECK, "the keys can be fetched");
            }
            Ok(answer) => report.fail(CHECK, format!("responded with status {} and no keys", answer.status)),
            Err(err) => report.fail(CHECK, format!("cannot be reached from here: {err}")),
        }
    }

    /// Checks whether Retell is reachable and accepts the key.
    pub(super) async fn check_retell(&self, settings: &AgentSettings, report: &mut Report) {
        const CHECK: &str = "retell";
        let key = match settings.api_key.get() {
            Ok(Some(key)) => key,
            Ok(None) => {
                let what =
                    "not checked: RETELL_API_KEY is not given; it is the worker's, and may be given here too";
                return report.warn(CHECK, what);
            }
            Err(err) => return report.fail(CHECK, err),
        };
        // Asks for a nonexistent chat: the response shows whether the key is accepted, without exposing any
        // text.
        let chat = format!("chat_{}", Uuid::new_v4().simple());
        let url = http::join(&self.settings.provider.retell_url, &["get-chat", &chat]);
        let call = Call { service: "retell", bearer: Some(key), timeout: CALL_TIMEOUT, ..get(url) };
        let host = self.settings.provider.retell_url.origin().ascii_serialization();
        match retell(&self.client.send(call).await) {
            Ok(()) => report.ok(CHECK, format!("{host} accepts the key")),
            Err((verdict, why)) => report.note(verdict, CHECK, &format!("{host}: {why}")),
        }
    }

    /// Asks the agents of connected accounts a question each, in a chat of its own, which is deleted: reads may work while
    /// questions fail. Each question is billed.
    pub(super) async fn ask_agents(&self, settings: &AgentSettings, ask: &Asking, report: &mut Report) {
        const CHECK: &str = "questions";
        let key = match settings.api_key.get() {
            Ok(Some(key)) => key,
            Ok(None) => return report.fail(CHECK, "not asked: RETELL_API_KEY is not given"),
            Err(err) => return report.fail(CHECK, err),
        };
        let own_keys = match self.store {
            // With their own agents the operator's key has nothing to do.
            Some(store) => match store.subaccounts_with_key().await {
                Ok(own) => own,
                Err(err) => return report.fail(CHECK, err),
            },
            None => Vec::new(),
        };
        let mut agents: Vec<AgentId> = self
            .connections()
            .await
            .into_iter()
            .filter(|connection| connection.status == ConnectionStatus::Connected)
            .filter(|connection| !own_keys.contains(&connection.row.subaccount_id))
            .map(|connection| connection.agent)
            .collect();
        agents.sort();
        agents.dedup();
        if agents.is_empty() {
            return report.warn(CHECK, "not asked: no connected account uses RETELL_API_KEY");
        }
        let retell = Retell::new(
            self.client.clone(),
            RetellOptions {
                url: self.settings.provider.retell_url.clone(),
                key: Current::new(key),
                agent_version: settings.retell_agent_version.clone(),
                timeout: settings.agent_timeout,
            },
        );
        for agent in agents.iter().take(usize::from(ask.most)) {
            match question(&retell, agent, &ask.text, settings.agent_timeout).await {
                Ok(took) => report.ok(CHECK, format!("agent {agent} answered in {}", span(millis(took)))),
                Err(why) => report.fail(CHECK, format!("agent {agent}: {why}")),
            }
        }
    }

    /// Checks whether Graph accepts the tokens of the connected accounts.
    pub(super) async fn check_accounts(&self, vault: Option<&Vault>, most: u16, report: &mut Report) {
        const CHECK: &str = "accounts";
        let (Some(vault), Some(_)) = (vault, self.store) else {
            return report.warn(CHECK, "not checked: that needs the database and ENCRYPTION_KEYS");
        };
        let mut connections = self.connections().await;
        connections.retain(|connection| connection.status == ConnectionStatus::Connected);
        let all = connections.len();
        connections.truncate(usize::from(most));
        let graph = Graph::new(self.client.clone(), GraphOptions::from(self.settings.graph));
        let asked: Vec<_> = futures::stream::iter(&connections)
            .map(|connection| identify(&graph, vault, connection))
            .buffered(CALLS_MAX)
            .collect()
            .await;
        for (connection, outcome) in connections.iter().zip(&asked) {
            if let Err((verdict, why)) = outcome {
                let name = format!("{} of {}", connection.account, connection.subaccount);
                report.note(*verdict, CHECK, &format!("{name}: {why}"));
            }
        }
        let good = asked.iter().filter(|outcome| outcome.is_ok()).count();
        let verdict = if good == asked.len() { Verdict::Ok } else { Verdict::Warn };
        let what = format!("{good} of {} asked have a good token, of {all} connected", asked.len());
        report.note(verdict, CHECK, &what);
    }

    async fn connections(&self) -> Vec<Connection> {
        match self.store {
            Some(store) => store.snapshot().await.unwrap_or_default(),
            None => Vec::new(),
        }
    }
}

/// How many agents to ask, and what.
pub(super) struct Asking {
    pub(super) most: u16,
    pub(super) text: String,
}

/// Asks once, and deletes the chat. Gives how long the answer took.
async fn question(
    retell: &Retell,
    agent: &AgentId,
    text: &str,
    timeout: Duration,
) -> Result<Duration, String> {
    let opening = Opening::default();
    let chat = retell.open(None, agent, &opening).await.map_err(|err| err.to_string())?;
    let began = Instant::now();
    let answer = retell.ask(None, &chat, text, timeout).await;
    let took = began.elapsed();
    let deleted = retell.delete(None, &chat).await;
    let answer = answer.map_err(|err| err.to_string())?;
    if answer.replies.is_empty() {
        return Err("it answered without any text".to_owned());
    }
    deleted.map_err(|err| format!("it answered, but chat {chat} cannot be deleted: {err}"))?;
    Ok(took)
}

/// Whether Graph does not know the path, because of its version (Meta, "Graph API: Error handling").
fn is_unknown_path(answer: &Answer) -> bool {
    let said = answer.json();
    let message = said.as_ref().and_then(|json| json["error"]["message"].as_str()).unwrap_or_default();
    message.contains("Unknown path components")
}

/// A problem.
type Wrong = (Verdict, String);

/// What Retell's response says about the key.
fn retell(answer: &Result<Answer, Failure>) -> Result<(), Wrong> {
    match answer {
        Err(err) => Err((Verdict::Fail, format!("cannot be reached from here: {err}"))),
        Ok(answer) => match answer.status {
            401 | 403 => Err((Verdict::Fail, "the key is rejected; set RETELL_API_KEY".to_owned())),
            402 => {
                Err((Verdict::Fail, "the account has no payment method, or its trial has ended".to_owned()))
            }
            429 => Err((Verdict::Warn, "too many requests: try again later".to_owned())),
            status @ 500.. => Err((Verdict::Warn, format!("status {status}: try again later"))),
            _ => Ok(()),
        },
    }
}

/// Checks with Graph whether a connection's token is valid and its own.
async fn identify(graph: &Graph, vault: &Vault, connection: &Connection) -> Result<(), Wrong> {
    let access = dmrelay_app::access(vault, connection);
    let access = access.map_err(|err| (Verdict::Fail, format!("its token: {err}")))?;
    match graph.identify(&access).await {
        Ok(account) if account.instagram_account_id == connection.account.as_str() => Ok(()),
        Ok(_) => Err((Verdict::Fail, "its token is another account's: connect it again".to_owned())),
        Err(err) if err.class == FailureClass::Reauth => {
            Err((Verdict::Fail, format!("its token is rejected ({}): connect it again", err.code)))
        }
        Err(err) => Err((Verdict::Warn, format!("Graph cannot tell now: {}, {}", err.class, err.code))),
    }
}

/// A plain GET request.
fn get(url: Url) -> Call {
    Call::get(("doctor", "doctor"), url, CALL_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retells_response_shows_whether_the_key_is_accepted() {
        let answered = |status| {
            let body = bytes::Bytes::new();
            retell(&Ok(Answer { status, body, ..Answer::default() })).err().map(|(verdict, _)| verdict)
        };
        for (status, wrong) in [
            (200, None),
            (422, None),
            (404, None),
            (401, Some(Verdict::Fail)),
            (402, Some(Verdict::Fail)),
            (403, Some(Verdict::Fail)),
            (429, Some(Verdict::Warn)),
            (503, Some(Verdict::Warn)),
        ] {
            assert_eq!(answered(status), wrong, "{status}");
        }
        assert!(
            retell(&Err(Failure::NotSent("refused".to_owned())))
                .is_err_and(|(verdict, _)| verdict == Verdict::Fail)
        );
    }
}
