//! An account moves to another subaccount with its history, by the operator: conversations belong to the connection, and go with it.

use crate::connections::{is_in_use, next_version};
use crate::{Activity, ActivityKind, Bound, Connection, Result, Store, Tx};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::{ActivityId, AgentId, ConnectionId, SubaccountId};
use dmrelay_entity::{
    activity, chat, chat_note, chat_read, chat_triage, connect_session, dead_letter, erased_trace, erasure,
    instagram_connection, usage_day,
};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

/// Entries of the log that are moved by one statement.
const BATCH: u64 = 2_000;

/// What came of moving an account.
#[derive(Debug, Clone)]
pub enum Moved {
    /// The connection as it is now.
    Now(Box<Connection>),
    /// The agent is another subaccount's.
    AgentOfAnother(String),
    /// It is not in use: being connected or disconnected, or disconnected.
    NotInUse,
    /// Its data, or that of one of the subaccounts, is being erased.
    Erasing,
    /// There is none.
    Gone,
}

impl Store {
    /// Moves a connection in use to another subaccount, where this agent answers from now on. All or nothing.
    ///
    /// # Errors
    /// What the database says.
    pub async fn move_connection(
        &self,
        id: ConnectionId,
        (to, agent): (&SubaccountId, &AgentId),
        actor: &Actor,
    ) -> Result<Moved> {
        use instagram_connection::Column;
        let tx = self.begin().await?;
        let row = instagram_connection::Entity::find_by_id(id).lock_exclusive().one(tx.connection()).await?;
        let Some(row) = row else { return Ok(Moved::Gone) };
        let before = Connection::from_row(row)?;
        if !is_in_use(before.status) {
            return Ok(Moved::NotInUse);
        }
        let from = before.subaccount.clone();
        if tx.is_erasing(&from).await? || tx.is_erasing(to).await? || tx.is_erasing_account(id).await? {
            return Ok(Moved::Erasing);
        }
        if let Bound::Elsewhere(owner) = tx.bind_agent(agent, to, actor).await? {
            return Ok(Moved::AgentOfAnother(owner));
        }
        let change = instagram_connection::Entity::update_many()
            .col_expr(Column::SubaccountId, to.as_str().into())
            .col_expr(Column::AgentId, agent.as_str().into())
            .col_expr(Column::CredentialVersion, next_version())
            .col_expr(Column::UpdatedAt, tx.clock())
            .filter(Column::Id.eq(id));
        let after = change.exec_with_returning(tx.connection()).await?.pop().map(Connection::from_row);
        let Some(after) = after.transpose()? else { return Ok(Moved::Gone) };
        tx.move_records(&before, to).await?;
        for subaccount in [&from, to] {
            let activity = Activity::of_subaccount(subaccount, ActivityKind::AccountMoved, actor)
                .about(&id)
                .with("instagramAccountId", before.account.as_str())
                .with("from", from.as_str())
                .with("to", to.as_str())
                .with("agentId", agent.as_str());
            tx.record(&activity).await?;
        }
        tx.commit().await?;
        Ok(Moved::Now(Box::new(after)))
    }
}

impl Tx {
    /// Whether an account is to be erased.
    async fn is_erasing_account(&self, id: ConnectionId) -> Result<bool> {
        let open = erasure::Entity::find()
            .filter(erasure::Column::ConnectionId.eq(id))
            .filter(erasure::Column::FinishedAt.is_null());
        Ok(open.one(self.connection()).await?.is_some())
    }

    /// What is kept of a connection under its subaccount's name. Chats at the agent's provider stay under the name of the key that
    /// opened them, with which they will be deleted.
    async fn move_records(&self, before: &Connection, to: &SubaccountId) -> Result<()> {
        let (db, id, from) = (self.connection(), before.id, before.subaccount.as_str());
        let to_text = to.as_str();
        if from == to_text {
            return Ok(());
        }
        dead_letter::Entity::update_many()
            .col_expr(dead_letter::Column::SubaccountId, to_text.into())
            .filter(dead_letter::Column::SubaccountId.eq(from))
            .filter(dead_letter::Column::ConnectionId.eq(id))
            .exec(db)
            .await?;
        usage_day::Entity::update_many()
            .col_expr(usage_day::Column::SubaccountId, to_text.into())
            .filter(usage_day::Column::ConnectionId.eq(id))
            .exec(db)
            .await?;
        erased_trace::Entity::update_many()
            .col_expr(erased_trace::Column::SubaccountId, to_text.into())
            .filter(erased_trace::Column::ConnectionId.eq(id))
            .exec(db)
            .await?;
        connect_session::Entity::delete_many()
            .filter(connect_session::Column::SubaccountId.eq(from))
            .filter(connect_session::Column::ConnectionId.eq(id))
            .exec(db)
            .await?;
        let values = vec![to_text.into(), id.into()];
        self.execute("UPDATE turn_counts SET subaccount_id = $1 WHERE connection_id = $2", values).await?;
        self.forget_pauses_of(&before.subaccount, Some(&before.account)).await?;
        // Those who looked after its chats are the former business's people.
        let unassign = chat_triage::Entity::update_many()
            .col_expr(chat_triage::Column::Assignee, Expr::val(None::<String>))
            .filter(chat_triage::Column::ConnectionId.eq(before.id));
        unassign.exec(self.connection()).await?;
        let chats = || {
            let of = chat::Entity::find().select_only().column(chat::Column::Id);
            of.filter(chat::Column::ConnectionId.eq(before.id)).into_query()
        };
        let unread = chat_read::Entity::delete_many().filter(chat_read::Column::ChatId.in_subquery(chats()));
        unread.exec(self.connection()).await?;
        let unsigned = chat_note::Entity::update_many()
            .col_expr(chat_note::Column::AuthorId, Expr::val(None::<String>))
            .filter(chat_note::Column::ChatId.in_subquery(chats()));
        unsigned.exec(self.connection()).await?;
        self.move_activities(before, to).await
    }

    /// The log of a connection, batch by batch, for each statement has a limit.
    async fn move_activities(&self, before: &Connection, to: &SubaccountId) -> Result<()> {
        use activity::Column;
        let from = before.subaccount.as_str();
        let mut after: Option<ActivityId> = None;
        loop {
            let page: Vec<ActivityId> = activity::Entity::find()
                .select_only()
                .column(Column::Id)
                .filter(Column::SubaccountId.eq(from))
                .filter(Column::ConnectionId.eq(before.id))
                .apply_if(after, |select, after| select.filter(Column::Id.gt(after)))
                .order_by_asc(Column::Id)
                .limit(BATCH)
                .into_tuple()
                .all(self.connection())
                .await?;
            let Some(last) = page.last().copied() else { return Ok(()) };
            after = Some(last);
            activity::Entity::update_many()
                .col_expr(Column::SubaccountId, to.as_str().into())
                .filter(Column::SubaccountId.into_expr().eq(from))
                .filter(Column::Id.is_in(page))
                .exec(self.connection())
                .await?;
        }
    }
}
