//! Meta's copy of the conversation (Meta, "Conversations API"), used to reconcile sends whose outcome is
//! unknown. Details exist only for the 20 newest messages.

use crate::account::text;
use crate::{Access, Graph, GraphError};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::{Seen, Thread};
use dmrelay_domain::ids::InstagramUserId;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Number of newest messages for which Meta returns details.
const DETAILED: usize = 20;

impl Graph {
    /// The newest messages of the conversation with a user, newest first. The list is incomplete if Graph
    /// does not return the conversation, returns only its newest messages, or returns an unreadable one.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn thread(&self, access: &Access, user: &InstagramUserId) -> Result<Thread, GraphError> {
        let path = [access.node.as_str(), "conversations"];
        let query = [("platform", "instagram"), ("user_id", user.as_str())];
        let list = self.call(access, self.read("conversations", &path, &query)).await?;
        let Some(conversation) = text(&list["data"][0]["id"]) else {
            return Ok(Thread::default());
        };
        let path = [conversation.as_str()];
        let query = [("fields", "messages{id,created_time,from,to,message}")];
        let json = self.call(access, self.read("conversation", &path, &query)).await?;
        let Some(shown) = json["messages"]["data"].as_array() else { return Ok(Thread::default()) };
        let messages: Vec<Seen> = shown.iter().filter_map(|message| seen(message, user)).collect();
        let complete = shown.len() < DETAILED && messages.len() == shown.len();
        Ok(Thread { messages, complete })
    }
}

fn seen(value: &Value, user: &InstagramUserId) -> Option<Seen> {
    let from = text(&value["from"]["id"]);
    Some(Seen {
        mid: text(&value["id"])?,
        at: created(value["created_time"].as_str()?)?,
        by_customer: from.is_none_or(|from| from == user.as_str()),
        text: text(&value["message"]),
    })
}

/// Parses `2025-07-28T22:44:49+0000` to milliseconds.
pub(crate) fn created(text: &str) -> Option<Millis> {
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
    fn meta_times_are_parsed() {
        assert_eq!(created("2025-07-28T22:44:49+0000"), Some(1_753_742_689_000));
        assert_eq!(created("2025-07-29T00:44:49+0200"), Some(1_753_742_689_000));
        assert_eq!(created("yesterday"), None);
    }
}
