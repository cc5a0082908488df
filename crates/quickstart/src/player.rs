//! The person at the console plays a customer, and lets things go wrong.

use dmrelay_api::{DemoButton, DemoCard, DemoCustomer, DemoDeed, DemoMessage, DemoTrouble};
use dmrelay_simulator::{Action, Author, Customer, Fault, FaultMode, Message, Operation, TokenState};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a slow agent takes.
const SLOW: Duration = Duration::from_secs(10);

/// Graph's error for a customer who cannot be reached (Meta, "Error codes").
const REFUSED: i64 = 551;

/// The customer, and what goes wrong, with the simulator's faults that do it.
pub(crate) struct Player {
    customer: Customer,
    troubles: Mutex<HashMap<&'static str, Option<u64>>>,
}

impl Player {
    pub(crate) fn new(customer: Customer) -> Self {
        Self { customer, troubles: Mutex::default() }
    }

    fn on(&self) -> MutexGuard<'_, HashMap<&'static str, Option<u64>>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last message by the customer, or by the account.
    fn last(&self, is_customers: bool) -> Option<Message> {
        let mut seen = self.customer.conversation();
        seen.retain(|message| (message.author == Author::Customer) == is_customers);
        seen.pop()
    }
}

impl DemoCustomer for Player {
    fn account(&self) -> &str {
        crate::account::USERNAME
    }

    fn user(&self) -> &str {
        self.customer.user()
    }

    fn let_pass(&self, time: Duration) {
        self.customer.let_pass(time);
    }

    fn act(&self, deed: DemoDeed) {
        let media = |kind: &str, name: &str| Action::attachment(kind, &self.customer.medium_url(name));
        let action = match deed {
            DemoDeed::Text(text) => Some(Action::text(text)),
            DemoDeed::Photo => Some(media("image", "vase")),
            DemoDeed::Voice => Some(media("audio", "voice")),
            DemoDeed::StoryReply(text) => {
                let (story_id, url) = ("18000000000000001".to_owned(), self.customer.medium_url("vase"));
                Some(Action::StoryReply { text, story_id, url })
            }
            DemoDeed::Comment(text) => {
                Some(Action::Comment { text, live: false, flat: false, own: false, parent_id: None })
            }
            DemoDeed::Tap { title, payload } => {
                Some(Action::Postback { title, payload, referral: None, without_mid: false })
            }
            DemoDeed::QuickReply { title, payload } => {
                Some(Action::QuickReply { title: Some(title), payload })
            }
            DemoDeed::Unsend => self.last(true).map(|message| Action::Unsend { mid: message.mid }),
            DemoDeed::Heart => self.last(false).map(|message| Action::Reaction {
                mid: message.mid,
                reaction: Some("love".to_owned()),
                emoji: Some("❤".to_owned()),
                unreact: false,
            }),
        };
        if let Some(action) = action {
            self.customer.act(action);
        }
    }

    fn conversation(&self) -> Vec<DemoMessage> {
        self.customer.conversation().into_iter().map(shown).collect()
    }

    fn trouble(&self, trouble: DemoTrouble, is_on: bool) {
        let mut on = self.on();
        if is_on == on.contains_key(trouble.as_str()) {
            return;
        }
        let fault = match trouble {
            DemoTrouble::AgentSlow => {
                Some(Fault::retell(Operation::Completion, FaultMode::Slow).delay(SLOW).times(0))
            }
            DemoTrouble::GraphRefuses => {
                Some(Fault::graph(Operation::Send, FaultMode::GraphError).code(REFUSED, None).times(0))
            }
            DemoTrouble::TokenExpired => {
                self.customer.set_tokens(if is_on { TokenState::Expired } else { TokenState::Valid });
                None
            }
            DemoTrouble::WebhookTwice => {
                self.customer.deliver_twice(if is_on { 1.0 } else { 0.0 });
                None
            }
        };
        if is_on {
            on.insert(trouble.as_str(), fault.map(|fault| self.customer.add_fault(fault)));
        } else if let Some(Some(id)) = on.remove(trouble.as_str()) {
            self.customer.clear_fault(id);
        }
    }

    fn troubles(&self) -> Vec<DemoTrouble> {
        let on = self.on();
        DemoTrouble::ALL.into_iter().filter(|trouble| on.contains_key(trouble.as_str())).collect()
    }
}

fn shown(message: Message) -> DemoMessage {
    let kind = message.attachments.first().and_then(|one| one["type"].as_str()).unwrap_or("message");
    let kind = match kind {
        "image" => "Photo",
        "audio" => "Voice message",
        "video" => "Video",
        "file" => "File",
        _ => "Message",
    };
    let template = message.attachments.first().filter(|one| one["type"] == "template");
    let payload = template.map_or(&Value::Null, |one| &one["payload"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let button = |one: &Value| DemoButton {
        title: text(&one["title"]),
        payload: one["payload"].as_str().map(str::to_owned),
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut cards: Vec<DemoCard> = list(&payload["elements"])
        .iter()
        .map(|one| DemoCard {
            title: text(&one["title"]),
            subtitle: text(&one["subtitle"]),
            buttons: list(&one["buttons"]).iter().map(button).collect(),
        })
        .collect();
    if payload["text"].is_string() {
        let buttons = list(&payload["buttons"]).iter().map(button).collect();
        cards.push(DemoCard { title: text(&payload["text"]), subtitle: String::new(), buttons });
    }
    let quick_replies = message.quick_replies.iter().map(button).collect();
    let is_cards = !cards.is_empty();
    let story = if message.story.is_some() { "On a story: " } else { "" };
    DemoMessage {
        is_customers: message.author == Author::Customer,
        mid: message.mid,
        media: None,
        text: if is_cards {
            String::new()
        } else {
            format!("{story}{}", message.text.as_deref().unwrap_or(kind))
        },
        cards,
        quick_replies,
        reaction: message.reactions.into_values().next(),
    }
}
