//! Accounts being connected by people who log in at Meta. Each step is claimed by one request: a code is good for one, and so is a
//! link.

use crate::{Activity, ActivityKind, Result, Store};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::{AgentId, ConnectionId, InstagramAccountId, SubaccountId};
use dmrelay_domain::states::{ConnectSessionStatus, LoginKind, PageChoice};
use dmrelay_entity::connect_session::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter,
};
use std::time::Duration;
use uuid::Uuid;

/// How long a request may work on a session; then it counts as expired.
const WORK_TIME: Duration = Duration::from_mins(2);

/// A session to begin.
#[derive(Debug, Clone)]
pub struct NewConnectSession {
    /// Our id.
    pub id: Uuid,
    /// The tenant.
    pub subaccount: SubaccountId,
    /// The agent the account is for.
    pub agent: AgentId,
    /// The login.
    pub login: LoginKind,
    /// Whether people log in with the subaccount's own Meta app.
    pub own_app: bool,
    /// The account it must be, if it must be a certain one.
    pub account: Option<InstagramAccountId>,
    /// Where the browser goes in the end.
    pub return_url: Option<String>,
    /// Who asks which Page it is.
    pub page_choice: PageChoice,
    /// The rest of what was asked for, as JSON.
    pub request: String,
    /// Who asks for it.
    pub actor: Actor,
    /// SHA-256 of the API key it is asked for with.
    pub key_hash: Option<[u8; 32]>,
    /// Whether the token it is asked for with names the agent.
    pub may_bind: bool,
    /// SHA-256 of what the browser must bring.
    pub secret_hash: [u8; 32],
    /// How long it goes on.
    pub time: Duration,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEnd {
    /// The account is connected.
    Connected(ConnectionId),
    /// The person did not want to.
    Cancelled,
    /// It failed.
    Failed {
        /// The problem's type.
        error: String,
        /// The same, for people.
        detail: String,
    },
}

/// A session of which somebody brought the secret.
#[derive(Debug, Clone)]
pub enum Claimed {
    /// It is the caller's to go on with; nobody else's.
    Now(Box<Model>),
    /// It was claimed before, has ended or has expired.
    TooLate(Box<Model>),
    /// There is none.
    Unknown,
}

impl Store {
    /// Begins a session. None if the subaccount has so many open ones.
    ///
    /// # Errors
    /// What the database says.
    pub async fn create_connect_session(&self, new: &NewConnectSession, most: u64) -> Result<Option<Model>> {
        let open = Entity::find()
            .filter(Column::SubaccountId.eq(new.subaccount.as_str()))
            .filter(Column::ExpiresAt.into_expr().gt(self.clock()))
            .filter(Column::Status.eq(ConnectSessionStatus::Open.as_str()));
        if open.count(&self.reader()).await? >= most {
            return Ok(None);
        }
        let now = self.now().await?;
        let session = ActiveModel {
            id: Set(new.id),
            subaccount_id: Set(new.subaccount.to_string()),
            agent_id: Set(new.agent.to_string()),
            login_kind: Set(new.login.into()),
            own_app: Set(new.own_app),
            instagram_account_id: Set(new.account.as_ref().map(ToString::to_string)),
            return_url: Set(new.return_url.clone()),
            page_choice: Set(new.page_choice.into()),
            request: Set(new.request.clone()),
            actor: Set(new.actor.name.clone()),
            actor_id: Set(new.actor.id.clone()),
            key_hash: Set(new.key_hash.map(|hash| hash.to_vec())),
            may_bind: Set(new.may_bind),
            secret_hash: Set(new.secret_hash.to_vec()),
            pages: Set(None),
            status: Set(ConnectSessionStatus::Open.into()),
            error: Set(None),
            error_detail: Set(None),
            connection_id: Set(None),
            created_at: Set(now),
            expires_at: Set(now + millis(new.time)),
            updated_at: Set(now),
        };
        Ok(Some(session.insert(&self.writer()).await?))
    }

    /// A session of an agent of a subaccount.
    ///
    /// # Errors
    /// What the database says.
    pub async fn connect_session(
        &self,
        subaccount: &SubaccountId,
        agent: &AgentId,
        id: Uuid,
    ) -> Result<Option<Model>> {
        let session = Entity::find_by_id(id)
            .filter(Column::SubaccountId.eq(subaccount.as_str()))
            .filter(Column::AgentId.eq(agent.as_str()));
        Ok(session.one(&self.writer()).await?)
    }

    /// Claims the session with this secret, if it waits in this state.
    ///
    /// # Errors
    /// What the database says.
    pub async fn claim_connect_session(
        &self,
        secret_hash: &[u8; 32],
        from: ConnectSessionStatus,
    ) -> Result<Claimed> {
        self.claim(Column::SecretHash.eq(secret_hash.to_vec()), from).await
    }

    /// Claims a session whose Page is chosen by the frontend.
    ///
    /// # Errors
    /// What the database says.
    pub async fn claim_page_choice(&self, id: Uuid) -> Result<Claimed> {
        self.claim(Column::Id.eq(id), ConnectSessionStatus::ChoosePage).await
    }

    async fn claim(&self, which: Expr, from: ConnectSessionStatus) -> Result<Claimed> {
        let claim = Entity::update_many()
            .col_expr(Column::Status, ConnectSessionStatus::Working.as_str().into())
            .col_expr(Column::ExpiresAt, self.clock().add(millis(WORK_TIME)))
            .col_expr(Column::UpdatedAt, self.clock())
            .filter(which.clone())
            .filter(Column::Status.eq(from.as_str()))
            .filter(Column::ExpiresAt.into_expr().gt(self.clock()));
        if let Some(session) = claim.exec_with_returning(&self.writer()).await?.pop() {
            return Ok(Claimed::Now(Box::new(session)));
        }
        let found = Entity::find().filter(which).one(&self.writer()).await?;
        Ok(found.map_or(Claimed::Unknown, |session| Claimed::TooLate(Box::new(session))))
    }

    /// The person must choose one of these Pages, within this time. What the browser must bring is another secret now.
    ///
    /// # Errors
    /// What the database says.
    pub async fn offer_pages(
        &self,
        id: Uuid,
        (pages, secret_hash): (Option<Vec<u8>>, &[u8; 32]),
        time: Duration,
    ) -> Result<()> {
        let mut offer = Entity::update_many()
            .col_expr(Column::Status, ConnectSessionStatus::ChoosePage.as_str().into())
            .col_expr(Column::SecretHash, secret_hash.to_vec().into())
            .col_expr(Column::UpdatedAt, self.clock())
            .filter(is_claimed(id));
        // Only the first offer: a choice that fails does not make it longer.
        if let Some(pages) = pages {
            offer = offer
                .col_expr(Column::Pages, pages.into())
                .col_expr(Column::ExpiresAt, self.clock().add(millis(time)));
        }
        offer.exec(&self.writer()).await?;
        Ok(())
    }

    /// Ends a session, and forgets its Pages.
    ///
    /// # Errors
    /// What the database says.
    pub async fn end_connect_session(&self, session: &Model, end: &SessionEnd) -> Result<()> {
        let (status, error, detail, connection) = match end {
            SessionEnd::Connected(id) => (ConnectSessionStatus::Connected, None, None, Some(*id)),
            SessionEnd::Cancelled => (ConnectSessionStatus::Cancelled, None, None, None),
            SessionEnd::Failed { error, detail } => {
                (ConnectSessionStatus::Failed, Some(error.as_str()), Some(detail.as_str()), None)
            }
        };
        let tx = self.begin().await?;
        let end = Entity::update_many()
            .set(ActiveModel { pages: Set(None), connection_id: Set(connection), ..Default::default() })
            .col_expr(Column::Status, status.as_str().into())
            .col_expr(Column::Error, Expr::val(error))
            .col_expr(Column::ErrorDetail, Expr::val(detail))
            .col_expr(Column::UpdatedAt, tx.clock())
            .filter(is_claimed(session.id));
        end.exec(tx.connection()).await?;
        if connection.is_none()
            && let Ok(subaccount) = SubaccountId::parse(&session.subaccount_id)
        {
            let actor = Actor { name: session.actor.clone(), id: session.actor_id.clone() };
            let activity = Activity::of_subaccount(&subaccount, ActivityKind::ConnectFailed, actor)
                .about(&session.id)
                .with("agentId", session.agent_id.as_str())
                .with("error", error.unwrap_or(status.as_str()));
            tx.record(&activity).await?;
        }
        tx.commit().await
    }

    /// Forgets the Pages of sessions that have expired: there are tokens with them. Then deletes sessions older than this, and gives how
    /// many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_connect_sessions(&self, age: Duration) -> Result<u64> {
        let expired = Entity::update_many()
            .col_expr(Column::Pages, Expr::val(None::<Vec<u8>>))
            .filter(Column::ExpiresAt.into_expr().lt(self.clock()))
            .filter(Column::Pages.is_not_null());
        expired.exec(&self.writer()).await?;
        let old = Column::ExpiresAt.into_expr().lt(self.clock().sub(millis(age)));
        Ok(Entity::delete_many().filter(old).exec(&self.writer()).await?.rows_affected)
    }
}

fn is_claimed(id: Uuid) -> Condition {
    Condition::all().add(Column::Id.eq(id)).add(Column::Status.eq(ConnectSessionStatus::Working.as_str()))
}
