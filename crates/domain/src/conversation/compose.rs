//! Composes an agent's answer: its texts, split into messages, and what its directives want sent.

use super::Conversation;
use super::rows::{Body, Chat};
use crate::directive::{self, Directive, Said};
use crate::ids::TemplateId;
use crate::markdown::plain;
use crate::outgoing::{NotFilled, Outgoing, Template};
use crate::split::{MAX_BYTES, split};
use crate::states::LoginKind;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A saved message of the subaccount.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// Its id.
    pub id: TemplateId,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: i32,
    /// What it says.
    pub message: Template,
}

/// Which saved message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SavedKey {
    /// The one of this id.
    Id(TemplateId),
    /// The one of this name.
    Name(String),
}

impl SavedKey {
    /// Whether it is this one.
    pub fn is(&self, saved: &Saved) -> bool {
        match self {
            Self::Id(id) => *id == saved.id,
            Self::Name(name) => *name == saved.name,
        }
    }
}

/// An answer as messages, and what else it wants.
#[derive(Debug, Default)]
pub(super) struct Composed {
    pub(super) bodies: Vec<Body>,
    /// Number of bytes left out because of the limit on messages.
    pub(super) left_out: usize,
    /// The chat is handed over to a human agent: why, or nothing.
    pub(super) hand_over: Option<String>,
    /// The agent chat is over.
    pub(super) ends: bool,
    /// Why a directive cannot be followed.
    pub(super) ignored: Vec<String>,
}

impl Body {
    /// The content of a message to be sent.
    pub fn of(outgoing: &Outgoing) -> Self {
        Self {
            kind: outgoing.kind().to_owned(),
            text: outgoing.as_text().map(str::to_owned),
            payload: Self::payload_of(outgoing),
            ..Self::default()
        }
    }

    /// Graph's `message` object, if it is more than plain text.
    pub fn payload_of(outgoing: &Outgoing) -> Option<String> {
        let json = outgoing.as_json();
        let plain = json.as_object().is_some_and(|fields| fields.len() == 1) && outgoing.as_text().is_some();
        (!plain).then(|| json.to_string())
    }

    /// The content of a message of plain text.
    pub(super) fn text(text: String) -> Self {
        Self { kind: "text".to_owned(), text: Some(text), ..Self::default() }
    }
}

/// The saved messages that answers name.
pub(super) fn named<'a>(replies: impl Iterator<Item = &'a str>) -> Vec<SavedKey> {
    let directives = replies.flat_map(directive::read).filter_map(|said| match said {
        Said::Directives(directives) => Some(directives),
        Said::Text(_) | Said::Unreadable(_) => None,
    });
    let name = |directive| match directive {
        Directive::Template { name, .. } => Some(SavedKey::Name(name)),
        _ => None,
    };
    directives.flatten().filter_map(name).collect()
}

impl Conversation {
    /// Composes an answer. A directive that cannot be followed costs nothing else of it.
    pub(super) fn compose(&self, replies: &[String]) -> Composed {
        let mut composed = Composed::default();
        // Quick replies that wait for a text.
        let mut choices = None;
        for said in replies.iter().flat_map(|reply| directive::read(reply)) {
            match said {
                Said::Text(text) => {
                    let text = if self.policy.plain_text { plain(&text) } else { text };
                    composed.bodies.extend(split(&text, MAX_BYTES).into_iter().map(Body::text));
                    if let Some(waiting) = choices.take() {
                        choices = composed.offer(waiting);
                    }
                }
                Said::Unreadable(why) => composed.ignored.push(why),
                Said::Directives(directives) => {
                    for directive in directives {
                        match directive {
                            Directive::QuickReplies(replies) => choices = composed.offer(replies),
                            Directive::Template { name, variables } => {
                                let body = self.saved_body(&SavedKey::Name(name), &variables);
                                composed.send(body);
                            }
                            Directive::Image(url) => composed.send(image(&url)),
                            Directive::HandOver(reason) => {
                                composed.hand_over = Some(reason.unwrap_or_default());
                            }
                            Directive::End => composed.ends = true,
                        }
                    }
                }
            }
        }
        if choices.is_some() {
            composed.ignored.push("the quick replies have no text beside them".to_owned());
        }
        let max = self.policy.reply_parts_max.max(1).min(composed.bodies.len());
        let beyond = composed.bodies.drain(max..).filter_map(|body| body.text);
        composed.left_out = beyond.map(|text| text.len()).sum();
        composed
    }

    /// A saved message, filled in for the customer.
    ///
    /// # Errors
    /// Why it cannot be sent.
    pub(super) fn saved_body(
        &self,
        key: &SavedKey,
        variables: &BTreeMap<String, String>,
    ) -> Result<Body, String> {
        let found = self.saved.iter().find(|saved| key.is(saved));
        let Some(saved) = found else {
            return Err(match key {
                SavedKey::Id(id) => format!("there is no template {id}"),
                SavedKey::Name(_) => "there is no template of that name".to_owned(),
            });
        };
        let outgoing =
            saved.message.fill(&template_values(variables, &self.chat)).map_err(|err| match err {
                NotFilled::Missing(names) => format!("the template {} lacks {}", saved.id, names.join(", ")),
                NotFilled::Invalid(err) => format!("the template {}: {err}", saved.id),
            })?;
        if outgoing.needs_facebook_login() && self.connection.login != LoginKind::Facebook {
            return Err("product templates need an account connected with Facebook Login".to_owned());
        }
        let template = json!({ "template": { "id": saved.id, "version": saved.version } });
        Ok(Body { metadata: Some(template.to_string()), ..Body::of(&outgoing) })
    }
}

/// Values for a message to a customer: theirs, where they are known, before the given ones.
pub(super) fn template_values(given: &BTreeMap<String, String>, chat: &Chat) -> BTreeMap<String, String> {
    let mut values = given.clone();
    let name = chat.name.as_ref().or(chat.username.as_ref());
    let own = [("name", name), ("username", chat.username.as_ref())];
    values.extend(own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone()))));
    values
}

impl Composed {
    fn send(&mut self, body: Result<Body, String>) {
        match body {
            Ok(body) => self.bodies.push(body),
            Err(why) => self.ignored.push(why),
        }
    }

    /// Shows quick replies with the last text. Gives them back if there is none yet.
    fn offer(&mut self, choices: Value) -> Option<Value> {
        let Some(last) = self.bodies.last_mut().filter(|body| body.payload.is_none()) else {
            return Some(choices);
        };
        match Outgoing::from_json(&json!({ "text": last.text, "quick_replies": choices })) {
            Ok(outgoing) => *last = Body::of(&outgoing),
            Err(err) => self.ignored.push(format!("the quick replies: {err}")),
        }
        None
    }
}

fn image(url: &str) -> Result<Body, String> {
    let image = json!({ "attachment": { "type": "image", "payload": { "url": url } } });
    Outgoing::from_json(&image).map(|outgoing| Body::of(&outgoing)).map_err(|err| format!("the image: {err}"))
}
