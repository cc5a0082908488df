//! What people do with a comment: answer it for everybody, or hide it.

use crate::comments::Deed;
use crate::query::literal;
use crate::{Activity, ActivityKind, Connection, Result, Store};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::CommentId;
use dmrelay_domain::states::DeedState;
use dmrelay_entity::comment::{Column, Entity, Model};
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use std::time::Duration;

/// A deed that somebody has begun.
#[derive(Debug, Clone, Copy)]
pub struct BegunDeed {
    id: CommentId,
    deed: Deed,
    /// Whether a worker looks at the comment afterwards all the same.
    was_due: bool,
}

impl Store {
    /// Begins what somebody wants, for `lease` at most: whatever becomes of this process, then nobody knows whether it was done. `None` if
    /// it is done, or under way, or a worker has the comment now. What is not known may be done again only if that does no harm: hiding.
    ///
    /// # Errors
    /// What the database says.
    pub async fn begin_comment_deed(
        &self,
        row: &Model,
        deed: Deed,
        lease: Duration,
    ) -> Result<Option<BegunDeed>> {
        let mut open = vec![DeedState::Failed.as_str()];
        if deed == Deed::Hide {
            open.push(DeedState::Unknown.as_str());
        }
        let until = || self.clock().add(millis(lease));
        let due = Func::coalesce([Column::DueAt.into_expr(), until()]);
        let begin = Entity::update_many()
            .col_expr(deed.column(), literal(DeedState::Calling.as_str()))
            .col_expr(Column::ClaimedUntil, until())
            .col_expr(Column::DueAt, due.into())
            .filter(Column::Id.eq(row.id))
            .filter(Column::ClaimedUntil.into_expr().lte(self.clock()))
            .filter(deed.column().is_null().or(deed.column().is_in(open)));
        let begun = begin.exec(&self.writer()).await?.rows_affected > 0;
        Ok(begun.then_some(BegunDeed { id: row.id, deed, was_due: row.due_at.is_some() }))
    }

    /// Records what became of it, and who did it. `None`: nothing was done, and it is as before.
    ///
    /// # Errors
    /// What the database says.
    pub async fn end_comment_deed(
        &self,
        begun: BegunDeed,
        state: Option<DeedState>,
        (connection, actor): (&Connection, &Actor),
    ) -> Result<()> {
        let tx = self.begin().await?;
        let to = state.map_or_else(|| Expr::value(None::<String>), |state| literal(state.as_str()));
        let mut end = Entity::update_many()
            .col_expr(begun.deed.column(), to)
            .col_expr(Column::ClaimedUntil, literal(0_i64))
            .filter(Column::Id.eq(begun.id))
            .filter(begun.deed.column().eq(DeedState::Calling.as_str()));
        if !begun.was_due {
            end = end.col_expr(Column::DueAt, Expr::value(None::<i64>));
        }
        let is_ended = end.exec(tx.connection()).await?.rows_affected > 0;
        if is_ended && state == Some(DeedState::Done) {
            let done = Activity::of_connection(connection, ActivityKind::CommentAnswered, actor)
                .about(&begun.id)
                .with("deed", begun.deed.word());
            tx.record(&done).await?;
        }
        tx.commit().await
    }
}
