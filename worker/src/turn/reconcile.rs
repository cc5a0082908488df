//! Finding out what became of a question: the agent's own record tells. An answer found is taken at any
//! time; that it was not asked is believed only after the call must have ended.

use super::{Delay, Turn, ask};
use crate::handler::Outcome;
use dmrelay_agent::{Question, Taken};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::retry;
use dmrelay_domain::states::TurnState;
use dmrelay_store::entity::turn;
use dmrelay_store::{Error, GateKey};
use std::time::Duration;

pub(super) async fn run(turn: &Turn<'_>, row: &turn::Model) -> Result<Outcome, Error> {
    let ctx = turn.ctx;
    let question = Question {
        chat: row.agent_chat_id.as_deref().unwrap_or_default(),
        watermark: row.watermark.as_deref(),
        hash: &row.asked_hash,
    };
    let taken = match ctx.agent.find(&question).await {
        Ok(taken) => taken,
        Err(err) => {
            if err.class.is_final() && ctx.store.now().await? >= row.deadline {
                return turn.buried(TurnState::Unknown, FailureClass::Ambiguous, &err.message).await;
            }
            // Its record cannot be read now; whatever the deadline says, nothing is decided without it.
            let delay = ask::to_gate(ctx, &err).await?;
            return turn.put_off(TurnState::Reconciling, err.class, &err.message, delay).await;
        }
    };
    ctx.gates.passed(&[GateKey::Agent]).await;
    let over = ctx.store.now().await? >= row.deadline;
    let count = |result: &str| ctx.metrics.reconciliations.with_label_values(&["agent", result]).inc();
    match taken {
        Taken::Answered(answer) => {
            count("happened");
            tracing::info!(turn = %turn.id, "the answer was found in the agent's record");
            turn.answered(&answer).await
        }
        Taken::NotAsked if over => {
            count("did_not_happen");
            let at_once = Delay::Exactly(Duration::ZERO);
            turn.put_off(TurnState::Waiting, FailureClass::Ambiguous, "the agent was not asked", at_once)
                .await
        }
        Taken::Thinking | Taken::Unclear if over => {
            let error = match taken {
                Taken::Thinking => "the agent took the question and did not answer it",
                _ => "the agent's record does not tell whether it was asked",
            };
            turn.buried(TurnState::Unknown, FailureClass::Ambiguous, error).await
        }
        Taken::NotAsked | Taken::Thinking | Taken::Unclear => {
            let soon = Delay::Backoff(retry::RECONCILE);
            turn.put_off(TurnState::Reconciling, FailureClass::Ambiguous, "not known yet", soon).await
        }
    }
}
