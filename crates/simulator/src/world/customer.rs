//! Actions in the Instagram app: of the customer, and of the human at the business's own phone.

use serde_json::{Map, Value, json};

use super::action::Action;
use super::thread::{Author, Message, ThreadKey};
use super::{Comment, World};
use crate::ids;
use crate::webhook::{Item, Place, Update};

/// The result of an action.
#[derive(Clone, Debug)]
pub(crate) struct Acted {
    /// The id of the message or the comment.
    pub(crate) id: Option<String>,
    pub(crate) update: Update,
}

impl World {
    /// Performs the action at a given time, and returns its update.
    pub(crate) fn act(&mut self, key: &ThreadKey, action: Action, at: i64) -> Acted {
        let (opens_window, awaits_reply) = (action.opens_window(), action.awaits_reply());
        let acted = match action {
            Action::Comment { .. } | Action::Mention { .. } => self.comment(key, action, at),
            Action::Reaction { .. } | Action::Unsend { .. } | Action::Edit { .. } | Action::Read { .. } => {
                self.touch(key, action, at)
            }
            other => self.write(key, other, at),
        };
        if opens_window {
            let thread = self.open_thread(key);
            thread.opened_ms = thread.opened_ms.max(Some(at));
            if awaits_reply {
                thread.waiting_since.get_or_insert_with(std::time::Instant::now);
            }
        }
        acted
    }

    /// Actions that add to the thread.
    fn write(&mut self, key: &ThreadKey, action: Action, at: i64) -> Acted {
        let author = if matches!(action, Action::Native { .. }) { Author::App } else { Author::Customer };
        let mut message = Message::new(author, at);
        let mid = message.mid.clone();
        let (field, place, key_name, body) = match action {
            Action::Referral { reference } => {
                let body = json!({"ref": reference, "source": "SHORTLINKS", "type": "OPEN_THREAD"});
                return self.said(key, at, ("messaging_referral", "referral"), body);
            }
            Action::Raw { item, field, standby } => {
                let mut update = Update::item(&key.account, Some(&key.user), &field, &item);
                if standby {
                    update.place = Place::Standby;
                }
                return self.told(key, at, raw_mid(&item), update);
            }
            Action::Postback { title, payload, referral, without_mid } => {
                message.text = Some(title.clone());
                let mut body =
                    Map::from_iter([("title".into(), json!(title)), ("payload".into(), json!(payload))]);
                if !without_mid {
                    body.insert("mid".into(), json!(mid));
                }
                insert_some(&mut body, "referral", referral);
                ("messaging_postbacks", Place::Messaging, "postback", body)
            }
            other => ("messages", Place::Messaging, "message", compose(other, &mut message)),
        };
        let (sender, recipient) = match author {
            Author::Customer => (&key.user, &key.account),
            Author::Api | Author::App => (&key.account, &key.user),
        };
        let item = Item::new(sender, recipient, at).with(key_name, Value::Object(body));
        let update = Update { place, ..Update::item(&key.account, Some(&key.user), field, &item) };
        self.add_message(key, message);
        self.told(key, at, Some(mid), update)
    }

    /// Actions that change an existing message.
    fn touch(&mut self, key: &ThreadKey, action: Action, at: i64) -> Acted {
        let user = key.user.clone();
        let mut body = Map::new();
        let (mid, field, name) = match action {
            Action::Reaction { mid, reaction, emoji, unreact } => {
                body.insert("action".into(), json!(if unreact { "unreact" } else { "react" }));
                if let Some(message) = self.open_thread(key).message_mut(&mid) {
                    if unreact {
                        message.reactions.remove(&user);
                    } else {
                        let shown = emoji.clone().or_else(|| reaction.clone()).unwrap_or_default();
                        message.reactions.insert(user, shown);
                    }
                }
                if !unreact {
                    insert_some(&mut body, "reaction", reaction.map(Value::from));
                    insert_some(&mut body, "emoji", emoji.map(Value::from));
                }
                (mid, "message_reactions", "reaction")
            }
            Action::Unsend { mid } => {
                if let Some(message) = self.open_thread(key).message_mut(&mid) {
                    (message.unsent, message.text) = (true, None);
                    message.attachments.clear();
                }
                body.insert("is_deleted".into(), json!(true));
                (mid, "messages", "message")
            }
            Action::Edit { mid, text, num_edit } => {
                if let Some(message) = self.open_thread(key).message_mut(&mid) {
                    message.text = Some(text.clone());
                }
                body.extend([("text".into(), json!(text)), ("num_edit".into(), json!(num_edit))]);
                (mid, "message_edit", "message_edit")
            }
            Action::Read { mid } => (mid, "messaging_seen", "read"),
            _ => return self.said(key, at, ("messages", "message"), Value::Null),
        };
        body.insert("mid".into(), json!(mid));
        let mut acted = self.said(key, at, (field, name), Value::Object(body));
        acted.id = Some(mid.clone());
        acted.update.mid = Some(mid);
        acted
    }

    fn comment(&mut self, key: &ThreadKey, action: Action, at: i64) -> Acted {
        let media = ids::digits(17);
        let Action::Comment { text, live, flat, own, parent_id } = action else {
            let mut value = Map::from_iter([("media_id".into(), json!(media))]);
            if let Action::Mention { comment_id } = action {
                insert_some(&mut value, "comment_id", comment_id.map(Value::from));
            }
            let update = Update::change(&key.account, "mentions", &Value::Object(value), false);
            return self.told(key, at, None, update);
        };
        let id = ids::digits(17);
        let author = if own { &key.account } else { &key.user };
        let username = match self.accounts.get(author) {
            Some(account) => account.username.clone(),
            None => self
                .thread(&key.account, author)
                .map_or_else(|| format!("customer_{author}"), |thread| thread.person.username.clone()),
        };
        let product = if live { "LIVE" } else { "FEED" };
        let mut value = Map::from_iter([
            ("from".into(), json!({"id": author, "username": username})),
            ("id".into(), json!(id)),
            ("text".into(), json!(text)),
            ("media".into(), json!({"id": media, "media_product_type": product})),
        ]);
        insert_some(&mut value, "parent_id", parent_id.map(Value::from));
        let comment = Comment {
            account: key.account.clone(),
            user: author.clone(),
            at,
            replied: false,
            replies: Vec::new(),
            hidden: false,
        };
        self.comments.insert(id.clone(), comment);
        let field = if live { "live_comments" } else { "comments" };
        let update = Update::change(&key.account, field, &Value::Object(value), flat);
        self.told(key, at, Some(id), update)
    }

    /// An event of the customer without a message.
    fn said(&self, key: &ThreadKey, at: i64, (field, name): (&str, &'static str), body: Value) -> Acted {
        let item = Item::new(&key.user, &key.account, at).with(name, body);
        self.told(key, at, None, Update::item(&key.account, Some(&key.user), field, &item))
    }

    fn told(&self, key: &ThreadKey, at: i64, id: Option<String>, update: Update) -> Acted {
        let standby = update.place == Place::Messaging
            && self.threads.get(key).is_some_and(|thread| thread.person.standby);
        let (place, field) =
            if standby { (Place::Standby, "standby".to_owned()) } else { (update.place, update.field) };
        let user = Some(key.user.clone());
        Acted { update: Update { mid: id.clone(), user, place, field, entry_time_ms: at, ..update }, id }
    }
}

/// The `message` object of a webhook, also stored in Meta's copy of the message.
fn compose(action: Action, message: &mut Message) -> Map<String, Value> {
    let mut body = Map::from_iter([("mid".to_owned(), json!(message.mid))]);
    match action {
        Action::Text { text, reply_to, referral } => {
            message.text = Some(text);
            insert_some(&mut body, "referral", referral);
            if let Some(mid) = reply_to {
                body.insert("reply_to".into(), json!({"mid": mid}));
                message.reply_to = Some(mid);
            }
        }
        Action::Native { text } => {
            message.text = Some(text);
            body.insert("is_echo".into(), json!(true));
        }
        Action::QuickReply { title, payload } => {
            message.text = title;
            body.insert("quick_reply".into(), json!({"payload": payload}));
        }
        Action::Attachments { attachments, text } => {
            message.text = text;
            message.attachments = attachments;
        }
        Action::StoryReply { text, story_id, url } => {
            message.text = Some(text);
            body.insert("reply_to".into(), json!({"story": {"id": story_id, "url": url}}));
            message.story = Some(json!({"reply_to": {"id": story_id, "link": url}}));
        }
        Action::StoryMention { url } => {
            message.attachments = vec![json!({"type": "story_mention", "payload": {"url": url}})];
            message.story = Some(json!({"mention": {"id": ids::digits(17), "link": url}}));
        }
        Action::Unsupported => {
            message.unsupported = true;
            body.insert("is_unsupported".into(), json!(true));
        }
        _ => {}
    }
    if let Some(text) = &message.text {
        body.insert("text".into(), json!(text));
    }
    if !message.attachments.is_empty() {
        body.insert("attachments".into(), json!(message.attachments));
    }
    body
}

fn insert_some(body: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        body.insert(key.to_owned(), value);
    }
}

fn raw_mid(item: &Value) -> Option<String> {
    ["message", "postback", "reaction", "read", "message_edit"]
        .iter()
        .find_map(|key| item.get(key)?.get("mid")?.as_str().map(str::to_owned))
}
