//! Chats, as they are read one at a time.

use crate::{Result, Store};
use dmrelay_domain::ids::{ChatId, ConnectionId, InstagramUserId};
use dmrelay_entity::chat::{self, Column, Entity};
use sea_orm::sea_query::{Expr, Func};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

/// What Graph says of an Instagram user; any of it may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// The handle.
    pub username: Option<String>,
    /// The name shown.
    pub name: Option<String>,
    /// A link to the picture, which expires within days.
    pub picture: Option<String>,
}

impl Store {
    /// The chat of an Instagram user, if they have written.
    pub async fn chat_of_user(
        &self,
        connection: ConnectionId,
        user: &InstagramUserId,
    ) -> Result<Option<chat::Model>> {
        let chat = Entity::find()
            .filter(Column::ConnectionId.eq(connection))
            .filter(Column::InstagramUserId.eq(user.as_str()));
        Ok(chat.one(&self.reader()).await?)
    }

    /// The chats with these ids, in any order.
    ///
    /// # Errors
    /// What the database says.
    pub async fn chats_named(&self, ids: impl IntoIterator<Item = ChatId>) -> Result<Vec<chat::Model>> {
        Ok(Entity::find().filter(Column::Id.is_in(ids)).all(&self.reader()).await?)
    }

    /// A chat by its id.
    pub async fn chat(&self, id: ChatId) -> Result<Option<chat::Model>> {
        Ok(Entity::find_by_id(id).one(&self.reader()).await?)
    }

    /// Stores what Graph says of the user, and when it was asked.
    pub async fn save_profile(&self, chat: ChatId, profile: &Profile) -> Result<()> {
        // What Graph does not say stays as it is.
        let known = |text: &Option<String>, column: Column| -> Expr {
            let text = text.as_deref().map(|text| dmrelay_domain::text::clean(text).into_owned());
            Func::coalesce([Expr::val(text), column.into_expr()]).into()
        };
        let save = Entity::update_many()
            .col_expr(Column::Username, known(&profile.username, Column::Username))
            .col_expr(Column::Name, known(&profile.name, Column::Name))
            .col_expr(Column::Picture, known(&profile.picture, Column::Picture))
            .col_expr(Column::ProfileAt, self.clock())
            .filter(Column::Id.eq(chat));
        save.exec(&self.writer()).await?;
        Ok(())
    }
}
