//! The customer's phone of the demo: one plays a customer, sees what the customer sees, and lets things go
//! wrong.

use crate::words::phone as text;
use crate::{BASE, Person};
use maud::{Markup, html};
use uuid::Uuid;

/// What the customer sees.
pub struct Phone<'a> {
    /// Who looks.
    pub person: &'a Person,
    /// The handle of the business's account.
    pub account: &'a str,
    /// The messages, oldest first.
    pub messages: &'a [DemoMessage],
    /// What goes wrong now.
    pub troubles: &'a [DemoTrouble],
}

/// A message as the customer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoMessage {
    /// Whether the customer wrote it.
    pub is_customers: bool,
    /// Meta's id of it.
    pub mid: String,
    /// What it says, or what it is.
    pub text: String,
    /// What it carries besides: our copy, with Meta's word for it.
    pub media: Option<(String, Uuid)>,
    /// The emoji put on it.
    pub reaction: Option<String>,
    /// Its cards: what each says, and its buttons.
    pub cards: Vec<DemoCard>,
    /// The quick replies below it.
    pub quick_replies: Vec<DemoButton>,
}

/// A card, or a text with buttons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DemoCard {
    /// What it is called.
    pub title: String,
    /// What stands below.
    pub subtitle: String,
    /// Its buttons; those that lead to a site have no payload.
    pub buttons: Vec<DemoButton>,
}

/// What the customer can tap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DemoButton {
    /// What stands on it.
    pub title: String,
    /// What the business is told.
    pub payload: Option<String>,
}

/// What can go wrong in the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoTrouble {
    /// The account's token has expired.
    TokenExpired,
    /// The agent takes ten seconds.
    AgentSlow,
    /// Instagram refuses what is sent.
    GraphRefuses,
    /// Meta delivers each webhook twice.
    WebhookTwice,
}

impl DemoTrouble {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AgentSlow, Self::WebhookTwice, Self::GraphRefuses, Self::TokenExpired];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokenExpired => "token_expired",
            Self::AgentSlow => "agent_slow",
            Self::GraphRefuses => "graph_refuses",
            Self::WebhookTwice => "webhook_twice",
        }
    }

    /// The trouble of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trouble| trouble.as_str() == word)
    }
}

/// The phone, as a fragment.
pub fn phone(phone: &Phone<'_>) -> Markup {
    html! {
        button class="to-phone" type="button" data-phone { (text::CAPTION) }
        aside class="phone" id="phone" aria-label=(text::LABEL) {
            p class="caption" { (text::CAPTION) small { (text::SIMULATED) } }
            div class="device" {
                p class="to" { "@" (phone.account) }
                ol id="phone-messages" tabindex="0" {
                    @if phone.messages.is_empty() { li class="hint" { (text::EMPTY) } }
                    @for message in phone.messages {
                        li class=[message.is_customers.then_some("mine")] {
                            @match &message.media {
                                Some((kind, id)) if kind == "image" => img src={ (BASE) "/media/" (id) "?thumbnail=true" } alt=(message.text);,
                                Some((kind, id)) if kind == "audio" => audio src={ (BASE) "/media/" (id) } controls preload="none" aria-label=(message.text) {},
                                _ => (message.text),
                            }
                            @for card in &message.cards {
                                div class="template" {
                                    strong { (card.title) }
                                    @if !card.subtitle.is_empty() { p { (card.subtitle) } }
                                    (taps(phone.person, "postback", &card.buttons))
                                }
                            }
                            (taps(phone.person, "quick_reply", &message.quick_replies))
                            @if let Some(emoji) = &message.reaction { span class="reaction" { (emoji) } }
                        }
                    }
                }
                form method="post" action={ (BASE) "/demo/say" } data-post data-clear {
                    input type="hidden" name="csrf" value=(phone.person.csrf);
                    input id="phone-text" name="text" placeholder=(text::WRITE) aria-label=(text::WRITE_LABEL)
                        required maxlength="1000" autocomplete="off";
                    button { (text::SEND) }
                }
                div class="deeds" {
                    @for (word, sign, name) in text::DEEDS {
                        form method="post" action={ (BASE) "/demo/say" } data-post {
                            input type="hidden" name="csrf" value=(phone.person.csrf);
                            input type="hidden" name="deed" value=(word);
                            button class="quiet" title=(name) aria-label=(name) { (sign) }
                        }
                    }
                }
            }
            (troubles(phone.person, phone.troubles))
            (hours(phone.person))
        }
    }
}

/// What can be tapped.
fn taps(person: &Person, deed: &str, buttons: &[DemoButton]) -> Markup {
    html! {
        @if !buttons.is_empty() {
            div class="taps" {
                @for button in buttons {
                    @if let Some(payload) = &button.payload {
                        form method="post" action={ (BASE) "/demo/say" } data-post {
                            input type="hidden" name="csrf" value=(person.csrf);
                            input type="hidden" name="deed" value=(deed);
                            input type="hidden" name="text" value=(button.title);
                            input type="hidden" name="payload" value=(payload);
                            button class="small" { (button.title) }
                        }
                    } @else { span class="pill" { (button.title) } }
                }
            }
        }
    }
}

/// Hours go by at a click: the window closes, a takeover ends.
fn hours(person: &Person) -> Markup {
    html! {
        div class="troubles" {
            p class="caption" { (text::LET_PASS) }
            @for hours in [1, 12, 23, 25] {
                form method="post" action={ (BASE) "/demo/pass" } data-post {
                    input type="hidden" name="csrf" value=(person.csrf);
                    input type="hidden" name="hours" value=(hours);
                    button class="small" { (text::hours(hours)) }
                }
            }
        }
    }
}

/// What goes wrong, as a fragment.
pub fn troubles(person: &Person, on: &[DemoTrouble]) -> Markup {
    html! {
        div id="troubles" class="troubles" {
            p class="caption" { (text::WHAT_IF) }
            @for trouble in DemoTrouble::ALL {
                @let is_on = on.contains(&trouble);
                form method="post" action={ (BASE) "/demo/trouble" } data-post {
                    input type="hidden" name="csrf" value=(person.csrf);
                    input type="hidden" name="trouble" value=(trouble.as_str());
                    input type="hidden" name="on" value=(!is_on);
                    button class="small" aria-pressed=(is_on) { (text::trouble(trouble)) }
                }
            }
        }
    }
}
