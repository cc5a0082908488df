//! The settings of a connection.

use crate::ids::TemplateId;
use crate::states::words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The settings of a connection; omitted ones follow the process's settings. Settings unknown to this version
/// are ignored, so that versions can run side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionSettings {
    /// How long the customer must be silent before the agent is asked, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debounce_ms: Option<u32>,
    /// How long the agent stays silent after a human agent writes, in hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takeover_hours: Option<u32>,
    /// Whether the customer sees a typing indicator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typing: Option<bool>,
    /// For how long the agent's replies wait for each of their characters, as if somebody were writing them, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writing_ms_per_character: Option<u32>,
    /// Whether the app has Meta's Human Agent feature, which lets human agents answer for seven days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub human_agent: Option<bool>,
    /// What the customer is told when the agent fails permanently.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_text: Option<String>,
    /// What the customer is told when they send what the agent cannot read: a photo that can be viewed once, a type that
    /// Meta does not pass on. Nothing by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable_text: Option<String>,
    /// Texts that Instagram sends on its own (instant reply, away message): an echo of one of them is not a human's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub automatic_texts: Vec<String>,
    /// Values for the agent's dynamic variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub agent_variables: BTreeMap<String, String>,
    /// What becomes of a tapped button or quick reply, by its payload. A payload that ends with `*` stands for all that begin like it;
    /// the longest that fits counts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub taps: BTreeMap<String, Rule>,
    /// What becomes of a mention in a customer's story; the agent is asked by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub story_mention: Option<Rule>,
    /// What becomes of a reply to a story of the account; the agent is asked by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub story_reply: Option<Rule>,
    /// What becomes of comments; the first rule that fits counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comment_rules: Vec<CommentRule>,
    /// Messages that say only this want no more broadcasts; [`STOP_WORDS`] by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_words: Option<Vec<String>>,
    /// Messages that say only this want broadcasts again; [`START_WORDS`] by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_words: Option<Vec<String>>,
    /// What the customer is told when they want no more broadcasts. Without it the agent answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_text: Option<String>,
    /// What the customer is told when they want broadcasts again. Without it the agent answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_text: Option<String>,
}

/// Words for no more broadcasts: English, German, Spanish and Portuguese, French, Italian, Dutch.
pub const STOP_WORDS: [&str; 9] =
    ["stop", "unsubscribe", "stopp", "abmelden", "baja", "arrêt", "désabonner", "fermati", "afmelden"];

/// Words for broadcasts again, in the same languages.
pub const START_WORDS: [&str; 7] =
    ["start", "subscribe", "anmelden", "alta", "abonner", "iscrivimi", "aanmelden"];

/// What a customer says about broadcasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// No more of them.
    Stop,
    /// They are welcome again.
    Start,
}

words!(
    /// What a rule does.
    RuleAction {
        /// The chat agent is asked, as without a rule.
        AskAgent = "ask_agent",
        /// A text or a saved message is sent.
        Send = "send",
        /// The chat is handed over to a human agent.
        HandOver = "hand_over",
        /// Nothing.
        Ignore = "ignore",
    }
);

/// What becomes of an event of a kind. An action of a later version counts as none: the agent is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// The word of a [`RuleAction`].
    pub action: String,
    /// The text to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The saved message to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<TemplateId>,
    /// Values for its variables. `name` and `username` are the customer's where they are known, whatever stands here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}

/// What becomes of comments that hold one of some words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CommentRule {
    /// Words or phrases of which the comment holds one, whatever their case; any comment if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Only comments on these posts; on any if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub media_ids: Vec<String>,
    /// The private reply.
    #[serde(flatten)]
    pub reply: Rule,
    /// The text of a reply that everybody sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_reply: Option<String>,
    /// Whether the comment is hidden.
    pub hide: bool,
}

impl CommentRule {
    fn fits(&self, text: &str, media: Option<&str>) -> bool {
        let said = format!(" {} ", words_of(text));
        let holds = |keyword: &String| {
            let keyword = words_of(keyword);
            !keyword.is_empty() && said.contains(&format!(" {keyword} "))
        };
        let is_of = |id: &String| media == Some(id.as_str());
        (self.keywords.is_empty() || self.keywords.iter().any(holds))
            && (self.media_ids.is_empty() || self.media_ids.iter().any(is_of))
    }
}

/// A text as its words, in lower case, with one space between them.
fn words_of(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

impl Rule {
    /// What it does.
    pub fn action(&self) -> RuleAction {
        RuleAction::parse(&self.action).unwrap_or(RuleAction::AskAgent)
    }
}

impl ConnectionSettings {
    /// What becomes of a comment, if a rule says so.
    pub fn comment(&self, text: &str, media: Option<&str>) -> Option<&CommentRule> {
        self.comment_rules.iter().find(|rule| rule.fits(text, media))
    }

    /// What a message says about broadcasts, if it says nothing else. Case, space and punctuation around it do not matter.
    pub fn wish(&self, text: &str) -> Option<Wish> {
        let said = word_of(text);
        let is_in = |own: &Option<Vec<String>>, usual: &[&str]| match own {
            Some(own) => own.iter().any(|word| word_of(word) == said),
            None => usual.contains(&said.as_str()),
        };
        if said.is_empty() {
            None
        } else if is_in(&self.stop_words, &STOP_WORDS) {
            Some(Wish::Stop)
        } else if is_in(&self.start_words, &START_WORDS) {
            Some(Wish::Start)
        } else {
            None
        }
    }

    /// What becomes of a tap with this payload, if a rule says so.
    pub fn tap(&self, payload: &str) -> Option<&Rule> {
        if let Some(exact) = self.taps.get(payload) {
            return Some(exact);
        }
        let fits = |pattern: &str| pattern.strip_suffix('*').is_some_and(|start| payload.starts_with(start));
        self.taps
            .iter()
            .filter(|(pattern, _)| fits(pattern))
            .max_by_key(|(pattern, _)| pattern.len())
            .map(|(_, rule)| rule)
    }
}

/// The form in which words are compared.
fn word_of(text: &str) -> String {
    text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_a_message_that_says_nothing_else() {
        let usual = ConnectionSettings::default();
        for (text, wish) in [
            (" STOP! ", Some(Wish::Stop)),
            ("Arrêt", Some(Wish::Stop)),
            ("\"start\"", Some(Wish::Start)),
            ("please stop", None),
            ("...", None),
            ("", None),
        ] {
            assert_eq!(usual.wish(text), wish, "{text}");
        }
        let own = ConnectionSettings {
            stop_words: Some(vec!["Nein danke".to_owned()]),
            start_words: Some(Vec::new()),
            ..usual
        };
        assert_eq!(own.wish("nein danke."), Some(Wish::Stop));
        assert_eq!((own.wish("stop"), own.wish("start")), (None, None));
    }

    #[test]
    fn a_comment_follows_the_first_rule_that_fits() {
        let rule = |keywords: &[&str], media: &[&str], text: &str| CommentRule {
            keywords: keywords.iter().map(|word| (*word).to_owned()).collect(),
            media_ids: media.iter().map(|id| (*id).to_owned()).collect(),
            reply: Rule { action: "send".to_owned(), text: Some(text.to_owned()), ..Rule::default() },
            ..CommentRule::default()
        };
        let comment_rules = vec![
            rule(&["Price", "how much"], &[], "price"),
            rule(&[], &["7"], "seven"),
            rule(&["!"], &[], "none"),
        ];
        let settings = ConnectionSettings { comment_rules, ..ConnectionSettings::default() };
        for (text, media, wanted) in [
            ("PRICE?", None, Some("price")),
            ("so: how   much is it", Some("7"), Some("price")),
            ("priceless", Some("7"), Some("seven")),
            ("priceless!", Some("8"), None),
            ("", None, None),
        ] {
            let found = settings.comment(text, media).and_then(|rule| rule.reply.text.as_deref());
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn the_longest_pattern_that_fits_a_tap_counts() {
        let rule =
            |text: &str| Rule { action: "send".to_owned(), text: Some(text.to_owned()), ..Rule::default() };
        let taps = [("A", "a"), ("ORDER_*", "order"), ("ORDER_1*", "one"), ("*", "any")];
        let settings = ConnectionSettings {
            taps: taps.iter().map(|(pattern, text)| ((*pattern).to_owned(), rule(text))).collect(),
            ..ConnectionSettings::default()
        };
        for (payload, text) in [("A", "a"), ("AB", "any"), ("ORDER_2", "order"), ("ORDER_12", "one")] {
            assert_eq!(settings.tap(payload).and_then(|rule| rule.text.as_deref()), Some(text), "{payload}");
        }
        assert_eq!(
            Rule { action: "of a later version".to_owned(), ..Rule::default() }.action(),
            RuleAction::AskAgent
        );
    }
}
