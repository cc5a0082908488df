//! After the database was set back to an earlier state, what was in flight then may have happened since.

use crate::query::literal;
use crate::{Result, Store};
use dmrelay_domain::conversation::{Command, Policy, Reply};
use dmrelay_domain::ids::ChatId;
use dmrelay_domain::states::BroadcastState;
use dmrelay_entity::{broadcast, chat, event, leader};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

/// What is not believed any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Distrusted {
    /// Chats in which something waited: it is looked up before it is done.
    pub chats: u64,
}

/// How many chats are changed by one transaction.
const CHATS: u64 = 200;

impl Store {
    /// Whether a worker runs: one of them leads the poller.
    ///
    /// # Errors
    /// What the database says.
    pub async fn is_worked_on(&self) -> Result<bool> {
        let led =
            leader::Entity::find_by_id("sweep").filter(leader::Column::Until.into_expr().gt(self.clock()));
        Ok(led.one(&self.reader()).await?.is_some())
    }

    /// Marks what waits as unknown, so that each question and each send is looked up before it is made. To be called once
    /// after a restore, before any worker runs.
    ///
    /// # Errors
    /// What the database says.
    pub async fn distrust(&self) -> Result<Distrusted> {
        // What was written down after the cut is not there to be found: every agent's chat is looked into once.
        use chat::Column;
        let waits = Condition::any()
            .add(Column::AgentChatId.is_not_null())
            .add(Column::TurnDueAt.is_not_null())
            .add(Column::OutboxDueAt.is_not_null());
        let next = chat::Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Verify.into_expr().not())
            .filter(waits)
            .order_by_asc(Column::Id)
            .limit(CHATS);
        let mut distrusted = Distrusted::default();
        loop {
            let page: Vec<ChatId> = next.clone().into_tuple().all(&self.writer()).await?;
            if page.is_empty() {
                break;
            }
            let commands = page.into_iter().map(|id| (id, Command::Distrust)).collect();
            for outcome in self.transact(Policy::default(), commands).await? {
                if outcome.applied()?.reply == Reply::Done {
                    distrusted.chats += 1;
                }
            }
        }
        // Whom a broadcast has reached since the backup is not known: people look before they resume it.
        let running = [BroadcastState::Scheduled, BroadcastState::Running].map(BroadcastState::as_str);
        let pause = broadcast::Entity::update_many()
            .col_expr(broadcast::Column::State, literal(BroadcastState::Paused.as_str()))
            .filter(broadcast::Column::State.is_in(running));
        pause.exec(&self.writer()).await?;
        self.distrust_comments().await?;
        // Jobs that Redis remembers must not make new ones pass for old.
        let renumber = event::Entity::update_many()
            .col_expr(event::Column::DispatchNo, event::Column::DispatchNo.into_expr().add(1_000_000))
            .filter(event::Column::DueAt.is_not_null());
        renumber.exec(&self.writer()).await?;
        Ok(distrusted)
    }
}
