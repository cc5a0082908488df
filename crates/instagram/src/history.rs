//! Meta's copy of an account's conversations (Meta, "Conversations API"), to find what no webhook brought. Only ids are listed: one
//! conversation that Meta cannot show fails a list that asks for more. Details exist for the 20 newest messages of each.

use crate::account::text;
use crate::thread::created;
use crate::{Access, Graph, GraphError};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::failure::Effect;
use serde_json::{Map, Value, json};

/// A conversation in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id at Meta.
    pub id: String,
    /// When it last changed, in whole seconds, in milliseconds.
    pub updated_at: Millis,
}

/// A page of the list, of conversations that changed last first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// The conversations.
    pub items: Vec<Listed>,
    /// Where the list goes on, if it does.
    pub after: Option<String>,
}

/// A message as Meta keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Meta's id.
    pub mid: String,
    /// When it was written, in whole seconds, in milliseconds.
    pub at: Millis,
    /// Who wrote it.
    pub from: String,
    /// The recipient.
    pub to: String,
    /// The text.
    pub text: Option<String>,
}

/// The kinds of attachments that have an address here, each by its field.
const ATTACHMENTS: [(&str, &str); 3] =
    [("image_data", "image"), ("video_data", "video"), ("audio_data", "audio")];

impl Graph {
    /// A page of the account's conversations.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn conversations(
        &self,
        access: &Access,
        after: Option<&str>,
        limit: u32,
    ) -> Result<ListPage, GraphError> {
        let path = [access.node.as_str(), "conversations"];
        let limit = limit.to_string();
        let mut query =
            vec![("platform", "instagram"), ("fields", "id,updated_time"), ("limit", limit.as_str())];
        query.extend(after.map(|after| ("after", after)));
        let json = self.call(access, self.read("conversations", &path, &query)).await?;
        let list = json["data"]
            .as_array()
            .ok_or_else(|| GraphError::odd(Effect::Read, "the answer has no list of conversations"))?;
        let listed = |one: &Value| {
            Some(Listed { id: text(&one["id"])?, updated_at: created(one["updated_time"].as_str()?)? })
        };
        let paging = &json["paging"];
        let after = paging["next"].is_string().then(|| text(&paging["cursors"]["after"])).flatten();
        Ok(ListPage { items: list.iter().filter_map(listed).collect(), after })
    }

    /// The newest messages of a conversation, newest first.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn newest_messages(
        &self,
        access: &Access,
        conversation: &str,
    ) -> Result<Vec<Kept>, GraphError> {
        let query = [("fields", "messages{id,created_time,from,to,message}")];
        let json = self.call(access, self.read("conversation", &[conversation], &query)).await?;
        let kept = |one: &Value| {
            Some(Kept {
                mid: text(&one["id"])?,
                at: created(one["created_time"].as_str()?)?,
                from: text(&one["from"]["id"])?,
                to: text(&one["to"]["data"][0]["id"])?,
                text: text(&one["message"]),
            })
        };
        Ok(json["messages"]["data"].as_array().into_iter().flatten().filter_map(kept).collect())
    }

    /// A message in the form in which webhooks bring it. What it has besides its text is asked for where it has none.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn as_webhook(&self, access: &Access, account: &str, kept: &Kept) -> Result<Value, GraphError> {
        let mut message = Map::from_iter([("mid".to_owned(), json!(kept.mid))]);
        if let Some(text) = &kept.text {
            message.insert("text".to_owned(), json!(text));
        } else {
            let query = [("fields", "id,message,attachments,shares,story,is_unsupported,reply_to")];
            let json = self.call(access, self.read("message", &[kept.mid.as_str()], &query)).await?;
            describe(&json, &mut message);
        }
        if kept.from == account {
            message.insert("is_echo".to_owned(), json!(true));
        }
        Ok(json!({
            "sender": {"id": kept.from}, "recipient": {"id": kept.to}, "timestamp": kept.at, "message": message,
        }))
    }
}

/// The attachments of a message, in the form of webhooks.
fn describe(json: &Value, message: &mut Map<String, Value>) {
    let mut attachments = Vec::new();
    for one in json["attachments"]["data"].as_array().into_iter().flatten() {
        let kind = ATTACHMENTS.iter().find(|(field, _)| one[*field].is_object());
        let (kind, url) = match kind {
            Some((field, kind)) => (*kind, &one[*field]["url"]),
            None if one["generic_template"].is_object() => ("template", &Value::Null),
            None => ("file", &one["file_url"]),
        };
        attachments.push(json!({"type": kind, "payload": {"url": url}}));
    }
    for one in json["shares"]["data"].as_array().into_iter().flatten() {
        let url = one["link"].as_str().or_else(|| one["url"].as_str());
        attachments.push(json!({"type": "share", "payload": {"url": url}}));
    }
    if let Some(link) = json["story"]["mention"]["link"].as_str() {
        attachments.push(json!({"type": "story_mention", "payload": {"url": link}}));
    }
    if let Some(reply_to) = json["reply_to"]["mid"].as_str() {
        message.insert("reply_to".to_owned(), json!({"mid": reply_to}));
    }
    if attachments.is_empty() {
        message.insert("is_unsupported".to_owned(), json!(true));
    } else {
        message.insert("attachments".to_owned(), Value::Array(attachments));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attachments_take_the_form_of_webhooks() {
        let mut message = Map::new();
        describe(
            &json!({
                "attachments": {"data": [{"image_data": {"url": "https://a"}}, {"file_url": "https://b"}]},
                "shares": {"data": [{"link": "https://c"}]},
                "reply_to": {"mid": "m1"},
            }),
            &mut message,
        );
        let of = |kind: &str, url: &str| json!({"type": kind, "payload": {"url": url}});
        assert_eq!(
            Value::Object(message),
            json!({
                "reply_to": {"mid": "m1"},
                "attachments": [of("image", "https://a"), of("file", "https://b"), of("share", "https://c")],
            })
        );
        let mut message = Map::new();
        describe(&json!({}), &mut message);
        assert_eq!(Value::Object(message), json!({"is_unsupported": true}));
    }
}
