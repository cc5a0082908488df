//! The ice breakers and menus that were set, to be compared with what Meta has.

use crate::{Activity, ActivityKind, Connection, Result, Store};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::ConnectionId;
use dmrelay_entity::instagram_connection::{Column, Entity};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

impl Store {
    /// What was set for a connection, as JSON.
    ///
    /// # Errors
    /// What the database says.
    pub async fn inbox_profile(&self, id: ConnectionId) -> Result<Option<String>> {
        let profile = Entity::find().select_only().column(Column::InboxProfile).filter(Column::Id.eq(id));
        let profile: Option<Option<String>> = profile.into_tuple().one(&self.writer()).await?;
        Ok(profile.flatten())
    }

    /// This was set for a connection; none: nothing is any more.
    ///
    /// # Errors
    /// What the database says.
    pub async fn put_inbox_profile(
        &self,
        connection: &Connection,
        profile: Option<&str>,
        actor: &Actor,
    ) -> Result<()> {
        let tx = self.begin().await?;
        let put = Entity::update_many()
            .col_expr(Column::InboxProfile, Expr::val(profile))
            .filter(Column::Id.eq(connection.id));
        put.exec(tx.connection()).await?;
        let activity = Activity::of_connection(connection, ActivityKind::InboxProfileSet, actor)
            .about(&connection.id)
            .with("isRemoved", profile.is_none());
        tx.record(&activity).await?;
        tx.commit().await
    }
}
