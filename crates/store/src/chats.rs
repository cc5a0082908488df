//! Chats, as they are read one at a time.

use crate::{Result, Store};
use dmrelay_domain::ids::{ChatId, InstagramUserId};
use dmrelay_entity::chat;
use uuid::Uuid;

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
        connection: Uuid,
        user: &InstagramUserId,
    ) -> Result<Option<chat::Model>> {
        let sql = "SELECT {chats.*} FROM chats WHERE connection_id = $1 AND instagram_user_id = $2";
        Ok(self.read(sql, vec![connection.into(), user.as_str().into()]).await?.into_iter().next())
    }

    /// A chat by its id.
    pub async fn chat(&self, id: ChatId) -> Result<Option<chat::Model>> {
        Ok(self
            .read("SELECT {chats.*} FROM chats WHERE id = $1", vec![id.0.into()])
            .await?
            .into_iter()
            .next())
    }

    /// Stores what Graph says of the user, and when it was asked.
    pub async fn save_profile(&self, chat: ChatId, profile: &Profile) -> Result<()> {
        let sql = "UPDATE chats SET username = COALESCE($2, username), name = COALESCE($3, name), \
                picture = COALESCE($4, picture), profile_at = {now} WHERE id = $1";
        let clean =
            |text: &Option<String>| text.as_deref().map(|t| dmrelay_domain::text::clean(t).into_owned());
        let values = vec![
            chat.0.into(),
            clean(&profile.username).into(),
            clean(&profile.name).into(),
            clean(&profile.picture).into(),
        ];
        self.execute(sql, values).await?;
        Ok(())
    }
}
