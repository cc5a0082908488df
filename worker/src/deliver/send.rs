//! One send: claimed in one statement, made, and judged by what came back.

use super::{Outbox, Step};
use crate::handler::Outcome;
use dmrelay_domain::failure::{self, FailureClass};
use dmrelay_domain::retry;
use dmrelay_domain::states::{ConnectionStatus, MessageStatus};
use dmrelay_instagram::{GraphError, Outgoing};
use dmrelay_store::entity::message;
use dmrelay_store::{Claimed, Error, Gate, GateKey, Refusal};
use std::time::Duration;

/// How long an account's gate closes when throttled without being told.
const THROTTLED: Duration = Duration::from_mins(1);
/// How long it closes when the account or the app may not.
const RESTRICTED: Duration = Duration::from_mins(5);
/// How long it closes after a bare code 100, which may mean the whole app.
const BARE_100: Duration = Duration::from_secs(30);

/// Graph's codes of limits that are the app's, not the account's.
const APP_LIMITS: [&str; 2] = ["4", "341"];

impl Outbox<'_> {
    /// Sends a queued message, if it may be sent now.
    pub(super) async fn send(&self, message: &message::Model) -> Result<Step, Error> {
        let outgoing = match outgoing(message) {
            Ok(outgoing) => outgoing,
            Err(what) => {
                return self
                    .give_up(message, MessageStatus::Failed, FailureClass::Invalid, ("message", &what))
                    .await;
            }
        };
        let gates = self.gates();
        let store = &self.ctx.store;
        let deadline = self.ctx.options.send_deadline();
        let claimed =
            store.claim_send(message, self.leased.token, deadline, &gates, self.human_agent()).await?;
        let Some(claimed) = claimed else {
            return self.refused(message, &gates).await;
        };
        // Last before the call: whoever is let through as the probe must make it.
        if let Gate::Closed(until) = store.pass(&gates).await? {
            store.requeue(&claimed, FailureClass::Transient, "gate", "the gate is closed").await?;
            return Ok(Step::Later(Outcome::Idle, self.until(until).await?));
        }
        let tag = self.needs_tag(&claimed.message);
        match self.ctx.graph.send(&self.access, &self.user, &outgoing, tag).await {
            Ok(mid) => {
                let step = self.sent(&claimed, &mid).await?;
                self.ctx.gates.passed(&gates).await;
                Ok(step)
            }
            Err(err) => self.judge(&claimed, &err).await,
        }
    }

    async fn refused(&self, message: &message::Model, gates: &[GateKey]) -> Result<Step, Error> {
        let tx = self.ctx.store.begin().await?;
        let Some(chat) = tx.lock_chat(self.leased.chat.id()).await? else {
            return Ok(Step::Later(Outcome::Idle, Duration::ZERO));
        };
        if chat.row.outbox_lease != Some(self.leased.token) {
            return Ok(Step::Later(Outcome::Idle, Duration::ZERO));
        }
        let refusal = tx.send_refusal(&chat, message, gates, self.human_agent()).await?;
        if refusal == Refusal::Suppressed {
            tx.suppress(message.id.into()).await?;
        }
        tx.commit().await?;
        match refusal {
            Refusal::Changed | Refusal::Suppressed => Ok(Step::Next),
            // It stays due: the sweep takes it when the connection is in use again.
            Refusal::Parked(_) => Ok(Step::Later(Outcome::Retry(FailureClass::Reauth), Duration::ZERO)),
            // Likewise, when the business lets the agent speak again.
            Refusal::Paused => Ok(Step::Later(Outcome::Idle, Duration::ZERO)),
            Refusal::Gate(until) => Ok(Step::Later(Outcome::Idle, self.until(until).await?)),
            Refusal::WindowClosed => {
                let why = ("window", "the 24-hour window closed before it could be sent");
                self.give_up(message, MessageStatus::Failed, FailureClass::WindowClosed, why).await
            }
        }
    }

    /// What a send that was not accepted means, and how the outbox goes on.
    async fn judge(&self, claimed: &Claimed, err: &GraphError) -> Result<Step, Error> {
        let (message, class) = (&claimed.message, err.class);
        tracing::warn!(
            message_id = %message.id, attempt = message.attempt, class = class.as_str(), code = %err.code,
            "send not accepted"
        );
        match class {
            FailureClass::Transient => {
                self.requeue(claimed, err).await?;
                self.ctx.gates.failed(&self.app_gate(), &err.code).await?;
                self.later(class, retry::CALLS).await
            }
            FailureClass::Ambiguous => {
                self.ctx.store.doubt(message, class, &err.code, &err.message).await?;
                self.ctx.gates.failed(&self.app_gate(), &err.code).await?;
                self.later(class, retry::RECONCILE).await
            }
            FailureClass::Throttled => {
                self.requeue(claimed, err).await?;
                let app = APP_LIMITS.contains(&err.code.split('/').next().unwrap_or_default());
                let gate = if app {
                    self.app_gate()
                } else {
                    GateKey::GraphAccount(self.connection.account.clone())
                };
                let pause = err.retry_after.unwrap_or(THROTTLED);
                self.ctx.gates.close(&gate, pause, &err.code).await?;
                Ok(Step::Later(Outcome::Retry(class), pause))
            }
            FailureClass::Reauth => {
                self.requeue(claimed, err).await?;
                let status = ConnectionStatus::ReauthRequired;
                if self.ctx.store.park_connection(&self.connection, status, &err.code).await? {
                    tracing::error!(connection = %self.connection.id, code = %err.code, "Meta refused the token");
                }
                Ok(Step::Later(Outcome::Retry(class), Duration::ZERO))
            }
            FailureClass::Restricted => self.restricted(claimed, err).await,
            FailureClass::WindowClosed | FailureClass::Gone | FailureClass::Invalid => {
                // A verdict is an answer too: the service is there.
                self.ctx.gates.passed(&[self.app_gate()]).await;
                self.give_up(message, MessageStatus::Failed, class, (&err.code, &err.message)).await
            }
            FailureClass::AgentRefused | FailureClass::Bug => {
                self.give_up(message, MessageStatus::Failed, FailureClass::Bug, (&err.code, &err.message))
                    .await
            }
        }
    }

    /// The account or the app may not. A bare 100 is held until another send through the host shows that it
    /// was this message's fault, or many of them close the app's gate.
    async fn restricted(&self, claimed: &Claimed, err: &GraphError) -> Result<Step, Error> {
        let message = &claimed.message;
        let account = GateKey::GraphAccount(self.connection.account.clone());
        if !failure::is_bare_100(err.wire) {
            self.requeue(claimed, err).await?;
            self.ctx.gates.close(&account, RESTRICTED, &err.code).await?;
            return Ok(Step::Later(Outcome::Retry(err.class), RESTRICTED));
        }
        let app = self.app_gate();
        // `requeue` left the code of the time before; a success since then tells that the host works.
        let before = message.error_code.as_deref() == Some(err.code.as_str());
        let success = self.ctx.store.last_success(&app).await?;
        if before && success.is_some_and(|at| at > message.created_at) {
            return self
                .give_up(message, MessageStatus::Failed, FailureClass::Invalid, (&err.code, &err.message))
                .await;
        }
        self.requeue(claimed, err).await?;
        self.ctx.gates.failed(&app, &err.code).await?;
        self.ctx.gates.close(&account, BARE_100, &err.code).await?;
        Ok(Step::Later(Outcome::Retry(err.class), BARE_100))
    }

    async fn requeue(&self, claimed: &Claimed, err: &GraphError) -> Result<(), Error> {
        self.ctx.store.requeue(claimed, err.class, &err.code, &err.message).await
    }

    pub(super) async fn later(&self, class: FailureClass, schedule: retry::Schedule) -> Result<Step, Error> {
        let delay = schedule.delay(self.failed_again().await?);
        Ok(Step::Later(Outcome::Retry(class), delay))
    }
}

/// What is sent for a message: its payload where it is richer than text.
fn outgoing(message: &message::Model) -> Result<Outgoing, String> {
    let checked = match (&message.payload, &message.text) {
        (Some(payload), _) => {
            let json = serde_json::from_str(payload).map_err(|err| err.to_string())?;
            Outgoing::from_json(&json)
        }
        (None, Some(text)) => Outgoing::text(text),
        (None, None) => return Err("there is nothing in it".to_owned()),
    };
    checked.map_err(|err| err.to_string())
}
