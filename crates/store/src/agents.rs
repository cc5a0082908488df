//! Which subaccount an agent belongs to.

use crate::query::insert;
use crate::{Activity, ActivityKind, Result, Store, Tx};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::{AgentId, SubaccountId};
use dmrelay_entity::agent::{self, Column, Entity};
use dmrelay_entity::instagram_connection;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};

/// What became of binding an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// It is the subaccount's from now on.
    Now,
    /// It was already.
    Before,
    /// It is this other subaccount's.
    Elsewhere(String),
}

/// What became of releasing an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// It belongs to nobody now; this subaccount had it.
    From(String),
    /// It belonged to nobody.
    Nobodys,
    /// It answers for so many connected accounts, and stays.
    InUse(u64),
}

impl Tx {
    /// Binds an agent to a subaccount, unless it belongs to another one; that it is new there is an activity.
    ///
    /// # Errors
    /// What the database says.
    pub async fn bind_agent(
        &self,
        agent: &AgentId,
        subaccount: &SubaccountId,
        actor: &Actor,
    ) -> Result<Bound> {
        let bind = insert::<Entity>([
            (Column::Id, agent.as_str().into()),
            (Column::SubaccountId, subaccount.as_str().into()),
            (Column::CreatedAt, self.clock()),
        ])
        .on_conflict(OnConflict::column(Column::Id).do_nothing().to_owned())
        .take();
        if self.connection().execute(&bind).await?.rows_affected() == 0 {
            // Locked, so that it is not released before what is bound to it is stored.
            let row = Entity::find_by_id(agent.as_str()).lock_exclusive().one(self.connection()).await?;
            return Ok(match row {
                Some(row) if row.subaccount_id == subaccount.as_str() => Bound::Before,
                Some(row) => Bound::Elsewhere(row.subaccount_id),
                // It was released in this moment.
                None => Bound::Elsewhere(String::new()),
            });
        }
        self.record(&of_agent(ActivityKind::AgentAssigned, agent, subaccount, actor)).await?;
        Ok(Bound::Now)
    }

    /// Nobody binds or releases the agent before this transaction ends, if anybody has it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn lock_agent(&self, agent: &AgentId) -> Result<()> {
        Entity::find_by_id(agent.as_str()).lock_exclusive().one(self.connection()).await?;
        Ok(())
    }

    /// An agent belongs to nobody any more, unless it answers for connected accounts. With `owner`, only that subaccount's.
    ///
    /// # Errors
    /// What the database says.
    pub async fn release_agent(
        &self,
        agent: &AgentId,
        owner: Option<&SubaccountId>,
        actor: &Actor,
    ) -> Result<Released> {
        let found = Entity::find_by_id(agent.as_str()).lock_exclusive().one(self.connection()).await?;
        let found = found.filter(|row| owner.is_none_or(|owner| row.subaccount_id == owner.as_str()));
        let Some(row) = found else { return Ok(Released::Nobodys) };
        let live = instagram_connection::Entity::find()
            .filter(instagram_connection::Column::AgentId.eq(agent.as_str()))
            // Nothing is asked for an account that is being disconnected.
            .filter(instagram_connection::Column::Status.is_not_in(["disconnected", "disconnecting"]));
        let live = live.count(self.connection()).await?;
        if live > 0 {
            return Ok(Released::InUse(live));
        }
        Entity::delete_by_id(agent.as_str()).exec(self.connection()).await?;
        if let Ok(subaccount) = SubaccountId::parse(&row.subaccount_id) {
            self.record(&of_agent(ActivityKind::AgentReleased, agent, &subaccount, actor)).await?;
        }
        Ok(Released::From(row.subaccount_id))
    }
}

impl Store {
    /// The subaccount an agent belongs to.
    ///
    /// # Errors
    /// What the database says.
    pub async fn agent_subaccount(&self, agent: &AgentId) -> Result<Option<String>> {
        // The connection that writes: what was just bound must be seen.
        let agent = Entity::find_by_id(agent.as_str()).one(&self.writer()).await?;
        Ok(agent.map(|row| row.subaccount_id))
    }

    /// The agents of all subaccounts, or of one, in the order of their ids.
    ///
    /// # Errors
    /// What the database says.
    pub async fn agents(&self, subaccount: Option<&SubaccountId>, most: u64) -> Result<Vec<agent::Model>> {
        let agents = Entity::find()
            .apply_if(subaccount, |select, subaccount| {
                select.filter(Column::SubaccountId.eq(subaccount.as_str()))
            })
            .order_by_asc(Column::Id)
            .limit(most);
        self.list_all(agents).await
    }
}

fn of_agent(kind: ActivityKind, agent: &AgentId, subaccount: &SubaccountId, actor: &Actor) -> Activity {
    Activity::of_subaccount(subaccount, kind, actor).about(agent).with("agentId", agent.as_str())
}
