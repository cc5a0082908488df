//! Dead letters: what failed for good, with its reason, so that a person can see it and replay it.

use crate::pages::Page;
use crate::{Activity, ActivityKind, Error, Result, Store, Tx};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ChatId, ConnectionId, DeadLetterId, SubaccountId};
use dmrelay_domain::states::DeadLetterState;
use dmrelay_entity::dead_letter::{self, Column, Entity};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, QueryTrait};

/// Which dead letters to list. What is missing does not filter.
#[derive(Debug, Clone)]
pub struct DeadLetterFilter {
    /// Of this subaccount.
    pub subaccount: SubaccountId,
    /// Of these connections; none means no dead letter at all.
    pub connections: Vec<ConnectionId>,
    /// That failed for this.
    pub class: Option<String>,
    /// That speak of this: `event`, `turn` or `message`.
    pub kind: Option<String>,
    /// Of this chat.
    pub chat: Option<ChatId>,
    /// Of which this became.
    pub state: DeadLetterState,
    /// Older than this.
    pub created_before: Option<Millis>,
    /// Older than this dead letter.
    pub before: Option<DeadLetterId>,
    /// At most so many.
    pub limit: u64,
    /// After so many.
    pub skip: u64,
}

impl DeadLetterFilter {
    /// The newest open ones of these connections.
    pub fn open(subaccount: &SubaccountId, connections: Vec<ConnectionId>, limit: u64) -> Self {
        Self {
            subaccount: subaccount.clone(),
            connections,
            class: None,
            kind: None,
            chat: None,
            state: DeadLetterState::Open,
            created_before: None,
            before: None,
            limit,
            skip: 0,
        }
    }
}

/// What holds of a letter of which this became.
pub(crate) fn is(state: DeadLetterState) -> Expr {
    match state {
        DeadLetterState::Open => Column::ReplayedAt.is_null().and(Column::DiscardedAt.is_null()),
        DeadLetterState::Replayed => Column::ReplayedAt.is_not_null(),
        DeadLetterState::Discarded => Column::DiscardedAt.is_not_null(),
    }
}

impl Tx {
    /// Closes an open letter; only one of two at once does.
    pub(crate) async fn close_letter(
        &self,
        id: DeadLetterId,
        state: DeadLetterState,
        actor: &Actor,
    ) -> Result<bool> {
        let column =
            if state == DeadLetterState::Replayed { Column::ReplayedAt } else { Column::DiscardedAt };
        let close = Entity::update_many()
            .col_expr(column, self.clock())
            .col_expr(Column::ClosedBy, actor.name.as_str().into())
            .filter(Column::Id.eq(id))
            .filter(is(DeadLetterState::Open));
        Ok(close.exec(self.connection()).await?.rows_affected == 1)
    }

    /// Logs that a letter was closed.
    pub(crate) async fn record_closed(
        &self,
        letter: &dead_letter::Model,
        kind: ActivityKind,
        actor: &Actor,
    ) -> Result<()> {
        // What came for an account that nobody has is in nobody's log.
        if letter.subaccount_id.is_empty() {
            return Ok(());
        }
        let subaccount = SubaccountId::parse(&letter.subaccount_id)
            .map_err(|err| Error::Row { table: "dead_letters", what: err.to_string() })?;
        let activity = Activity::of_subaccount(&subaccount, kind, actor)
            .in_connection(letter.connection_id)
            .about(&letter.id)
            .with("class", letter.class.as_str())
            .with("kind", letter.kind.as_str())
            .with("chatId", letter.chat_id.map(|id| id.to_string()))
            .with("reference", letter.reference.to_string());
        self.record(&activity).await
    }
}

impl Store {
    /// A page of dead letters, newest first.
    pub async fn dead_letter_page(
        &self,
        filter: &DeadLetterFilter,
    ) -> Result<Page<dead_letter::Model, DeadLetterId>> {
        if filter.connections.is_empty() {
            return Ok(Page::empty());
        }
        let select = Entity::find()
            .filter(Column::SubaccountId.eq(filter.subaccount.as_str()))
            .filter(is_of(&filter.connections))
            .filter(is(filter.state))
            .apply_if(filter.class.as_deref(), |select, class| select.filter(Column::Class.eq(class)))
            .apply_if(filter.kind.as_deref(), |select, kind| select.filter(Column::Kind.eq(kind)))
            .apply_if(filter.chat, |select, chat| select.filter(Column::ChatId.eq(chat)))
            .apply_if(filter.created_before, |select, before| select.filter(Column::CreatedAt.lt(before)));
        let place = (filter.before, filter.limit, filter.skip);
        self.newest(select, Column::Id, place, |row| row.id).await
    }

    /// How many open dead letters these connections of a subaccount have of each class, the most first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn open_letters_by_class(
        &self,
        subaccount: &SubaccountId,
        connections: &[ConnectionId],
    ) -> Result<Vec<(String, u64)>> {
        #[derive(FromQueryResult)]
        struct Row {
            class: String,
            n: i64,
        }
        let classes = Entity::find()
            .select_only()
            .column(Column::Class)
            .expr_as(Column::Id.into_expr().count(), "n")
            .filter(Column::SubaccountId.eq(subaccount.as_str()))
            .filter(is_of(connections))
            .filter(is(DeadLetterState::Open))
            .group_by(Column::Class);
        let rows: Vec<Row> = classes.into_model().all(&self.reader()).await?;
        let mut all: Vec<_> =
            rows.into_iter().map(|row| (row.class, u64::try_from(row.n).unwrap_or(0))).collect();
        all.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
        Ok(all)
    }

    /// A dead letter by its id, if it is of one of these connections.
    pub async fn dead_letter(
        &self,
        connections: &[ConnectionId],
        id: DeadLetterId,
    ) -> Result<Option<dead_letter::Model>> {
        Ok(self.dead_letters_named(connections, &[id]).await?.into_iter().next())
    }

    /// The dead letters with these ids that are of one of these connections, in any order.
    pub async fn dead_letters_named(
        &self,
        connections: &[ConnectionId],
        ids: &[DeadLetterId],
    ) -> Result<Vec<dead_letter::Model>> {
        let letters = Entity::find().filter(Column::Id.is_in(ids.iter().copied())).filter(is_of(connections));
        Ok(letters.all(&self.reader()).await?)
    }
}

/// The letter is of one of these connections.
fn is_of(connections: &[ConnectionId]) -> Expr {
    Column::ConnectionId.is_in(connections.iter().copied())
}
