//! The conversation as Meta holds it (Meta, "Conversations API"): where it is found out whether a send of
//! unknown outcome happened. Details are there for the 20 newest messages only.

use crate::account::text;
use crate::{Access, Graph, GraphError};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::InstagramUserId;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadMessage {
    /// Meta's id.
    pub mid: String,
    /// When it was made; Meta gives whole seconds.
    pub at: Millis,
    /// Who wrote it.
    pub from: Option<String>,
    /// The text; nothing for attachments.
    pub text: Option<String>,
}

impl Graph {
    /// The newest messages of the conversation with a user, newest first. Nothing where Graph does not show
    /// the conversation, or shows a message of it that cannot be read: then it tells nothing of what is missing.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn thread(
        &self,
        access: &Access,
        user: &InstagramUserId,
    ) -> Result<Option<Vec<ThreadMessage>>, GraphError> {
        let path = [access.node.as_str(), "conversations"];
        let query = [("platform", "instagram"), ("user_id", user.as_str())];
        let list = self.call(access, self.read("conversations", &path, &query)).await?;
        let Some(conversation) = text(&list["data"][0]["id"]) else {
            return Ok(None);
        };
        let path = [conversation.as_str()];
        let query = [("fields", "messages{id,created_time,from,to,message}")];
        let json = self.call(access, self.read("conversation", &path, &query)).await?;
        let messages = json["messages"]["data"].as_array().into_iter().flatten();
        Ok(messages.map(message).collect())
    }
}

fn message(value: &Value) -> Option<ThreadMessage> {
    Some(ThreadMessage {
        mid: text(&value["id"])?,
        at: created(value["created_time"].as_str()?)?,
        from: text(&value["from"]["id"]),
        text: text(&value["message"]),
    })
}

/// `2025-07-28T22:44:49+0000` in milliseconds.
fn created(text: &str) -> Option<Millis> {
    const FORMAT: &[BorrowedFormatItem<'_>] = format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second][offset_hour sign:mandatory][offset_minute]"
    );
    let at = OffsetDateTime::parse(text, FORMAT).ok()?;
    Some(at.unix_timestamp() * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metas_times_are_read() {
        assert_eq!(created("2025-07-28T22:44:49+0000"), Some(1_753_742_689_000));
        assert_eq!(created("2025-07-29T00:44:49+0200"), Some(1_753_742_689_000));
        assert_eq!(created("yesterday"), None);
    }
}
