//! Echoes that may be Instagram's own, across the chats of a connection.

use crate::bulk::{Column, Kind, Rows};
use crate::{Result, Store, Tx};
use dmrelay_domain::clock::millis;
use dmrelay_domain::conversation::{Conversation, SecondLook, TextDigest};
use dmrelay_domain::ids::{ChatId, ConnectionId};
use dmrelay_entity::prompt_echo::{self, Entity};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect};
use std::collections::HashMap;
use std::time::Duration;

const WANTED: &[Column] =
    &[Column("connection_id", Kind::Uuid), Column("chat_id", Kind::Uuid), Column("digest", Kind::Bytes)];

const ECHOES: &[Column] = &[
    Column("connection_id", Kind::Uuid),
    Column("digest", Kind::Bytes),
    Column("chat_id", Kind::Uuid),
    Column("mid", Kind::Text),
    Column("recognized", Kind::Bool),
    Column("at", Kind::BigInt),
];

/// How many chats are looked at by one recognition.
const CHATS_MAX: u64 = 100;

/// How long they are kept.
const KEPT: Duration = Duration::from_hours(30 * 24);

#[derive(FromQueryResult)]
struct Count {
    of_chat: ChatId,
    digest: Vec<u8>,
    chats: i64,
}

impl Tx {
    /// Counts the other chats in which the texts looked for came within moments of the first message.
    pub(crate) async fn count_prompt_echoes(
        &self,
        conversations: &mut HashMap<ChatId, Conversation>,
        looks: &HashMap<ChatId, SecondLook>,
    ) -> Result<()> {
        let mut wanted = Rows::new(WANTED);
        for (id, look) in looks {
            let Some(one) = conversations.get(id) else { continue };
            for digest in &look.automatic {
                wanted.push(vec![one.connection.id.into(), (*id).into(), digest.to_vec().into()]);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let mut values = Vec::new();
        let table = wanted.as_table(self.dialect, "u", &mut values);
        let sql = format!(
            "SELECT u.chat_id AS of_chat, u.digest AS digest, COUNT(DISTINCT p.chat_id) AS chats FROM {table} JOIN prompt_echoes p \
             ON p.connection_id = u.connection_id AND p.digest = u.digest AND p.chat_id <> u.chat_id \
             GROUP BY u.chat_id, u.digest"
        );
        for count in self.query::<Count>(&sql, values).await? {
            let digest: std::result::Result<TextDigest, _> = count.digest.as_slice().try_into();
            let chats = u32::try_from(count.chats).unwrap_or(u32::MAX);
            if let (Some(one), Ok(digest)) = (conversations.get_mut(&count.of_chat), digest) {
                one.prompt_echoes.insert(digest, chats);
            }
        }
        Ok(())
    }

    /// Saves the echoes that these conversations have received.
    pub(crate) async fn save_prompt_echoes(&self, conversations: &[&Conversation]) -> Result<()> {
        let mut rows = Rows::new(ECHOES);
        // One of each text and chat: a statement must not write a row twice.
        let mut written = HashMap::new();
        for one in conversations {
            for echo in &one.changes.prompt_echoes {
                written.insert((one.chat.id, echo.digest), (one, echo));
            }
        }
        for (one, echo) in written.into_values() {
            rows.push(vec![
                one.connection.id.into(),
                echo.digest.to_vec().into(),
                one.chat.id.into(),
                echo.mid.as_str().into(),
                echo.recognized.into(),
                one.now.into(),
            ]);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let mut values = Vec::new();
        let source = rows.as_table(self.dialect, "u", &mut values);
        let sql = format!(
            "INSERT INTO prompt_echoes (connection_id, digest, chat_id, mid, recognized, at) \
             SELECT u.connection_id, u.digest, u.chat_id, u.mid, u.recognized, u.at FROM {source} WHERE TRUE \
             ON CONFLICT (connection_id, digest, chat_id) DO UPDATE SET mid = excluded.mid, \
                recognized = excluded.recognized, at = excluded.at"
        );
        self.execute(&sql, values).await?;
        Ok(())
    }
}

impl Store {
    /// The chats in which this text was taken for a human's, each with the mid of its echo.
    ///
    /// # Errors
    /// What the database says.
    pub async fn unrecognized_echoes(
        &self,
        connection: ConnectionId,
        digest: &TextDigest,
    ) -> Result<Vec<(ChatId, String)>> {
        use prompt_echo::Column;
        let found = Entity::find()
            .select_only()
            .columns([Column::ChatId, Column::Mid])
            .filter(Column::ConnectionId.eq(connection))
            .filter(Column::Digest.eq(digest.to_vec()))
            .filter(Column::Recognized.into_expr().not())
            .limit(CHATS_MAX);
        Ok(found.into_tuple().all(&self.relaxed()).await?)
    }

    /// The echo of this text in this chat is known to be Instagram's own.
    ///
    /// # Errors
    /// What the database says.
    pub async fn echo_recognized(
        &self,
        connection: ConnectionId,
        digest: &TextDigest,
        chat: ChatId,
    ) -> Result<()> {
        use prompt_echo::Column;
        let known = Entity::update_many()
            .col_expr(Column::Recognized, true.into())
            .filter(Column::ConnectionId.eq(connection))
            .filter(Column::Digest.eq(digest.to_vec()))
            .filter(Column::ChatId.eq(chat));
        known.exec(&self.writer()).await?;
        Ok(())
    }

    /// Deletes the echoes of a month ago.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_prompt_echoes(&self) -> Result<u64> {
        let old = prompt_echo::Column::At.into_expr().lt(self.clock().sub(millis(KEPT)));
        Ok(Entity::delete_many().filter(old).exec(&self.writer()).await?.rows_affected)
    }
}
