//! What customers see in the conversation before they write: ice breakers and the persistent menu (Meta, "Ice breakers", "Persistent
//! menu", for Instagram).

use crate::account::text;
use crate::graph::Request;
use crate::{Access, Graph, GraphError};
use dmrelay_runtime::http::Method;
use serde_json::{Value, json};

/// What customers see of an account; each part in several languages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InboxProfile {
    /// Questions to tap, in a conversation that has not begun.
    pub ice_breakers: Vec<IceBreakers>,
    /// The menu of a conversation.
    pub persistent_menu: Vec<Menu>,
}

/// Ice breakers of one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceBreakers {
    /// `default`, or a language: `en_US`.
    pub locale: String,
    /// The questions, each with what a tap brings.
    pub questions: Vec<(String, String)>,
}

/// The menu in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Menu {
    /// `default`, or a language.
    pub locale: String,
    /// Its entries.
    pub items: Vec<MenuItem>,
}

/// An entry of a menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MenuItem {
    /// A tap brings this.
    Postback {
        /// What the customer reads.
        title: String,
        /// What the webhook brings.
        payload: String,
    },
    /// A tap opens this address.
    Link {
        /// What the customer reads.
        title: String,
        /// The address.
        url: String,
    },
}

/// The parts, as Meta calls them.
const ICE_BREAKERS: &str = "ice_breakers";
const MENU: &str = "persistent_menu";

impl Graph {
    /// What customers see now.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn inbox_profile(&self, access: &Access) -> Result<InboxProfile, GraphError> {
        let path = [access.node.as_str(), "messenger_profile"];
        let query = [("platform", "instagram"), ("fields", "ice_breakers,persistent_menu")];
        let json = self.call(access, self.read("inbox_profile", &path, &query)).await?;
        let parts: Vec<&Value> = match &json["data"] {
            Value::Array(parts) => parts.iter().collect(),
            // Without the wrapper.
            _ => vec![&json],
        };
        let mut profile = InboxProfile::default();
        for part in parts {
            let of = |name: &str| part[name].as_array().into_iter().flatten().cloned().collect::<Vec<_>>();
            profile.ice_breakers.extend(of(ICE_BREAKERS).iter().map(ice_breakers));
            profile.persistent_menu.extend(of(MENU).iter().map(menu));
        }
        Ok(profile)
    }

    /// Customers see this from now on. A part that is empty is removed.
    ///
    /// # Errors
    /// [`GraphError`]; then some of it may be set.
    pub async fn set_inbox_profile(&self, access: &Access, profile: &InboxProfile) -> Result<(), GraphError> {
        let breakers = profile.ice_breakers.iter().map(breakers_json).collect::<Vec<_>>();
        let menus = profile.persistent_menu.iter().map(menu_json).collect::<Vec<_>>();
        let (mut set, mut removed) = (json!({"platform": "instagram"}), Vec::new());
        for (name, value) in [(ICE_BREAKERS, breakers), (MENU, menus)] {
            if value.is_empty() {
                removed.push(name);
            } else {
                set[name] = Value::Array(value);
            }
        }
        if removed.len() < 2 {
            self.write_profile(access, Method::POST, set).await?;
        }
        if !removed.is_empty() {
            let body = json!({"platform": "instagram", "fields": removed});
            self.write_profile(access, Method::DELETE, body).await?;
        }
        Ok(())
    }

    async fn write_profile(&self, access: &Access, method: Method, body: Value) -> Result<(), GraphError> {
        let path = [access.node.as_str(), "messenger_profile"];
        // Setting the same twice changes nothing. Meta answers `success` or `result`.
        let read = self.read("set_inbox_profile", &path, &[]);
        self.call(access, Request { method, json: Some(body), ..read }).await.map(|_| ())
    }
}

fn breakers_json(of: &IceBreakers) -> Value {
    let question = |(question, payload): &(String, String)| json!({"question": question, "payload": payload});
    json!({"locale": of.locale, "call_to_actions": of.questions.iter().map(question).collect::<Vec<_>>()})
}

fn menu_json(of: &Menu) -> Value {
    let item = |item: &MenuItem| match item {
        MenuItem::Postback { title, payload } => {
            json!({"type": "postback", "title": title, "payload": payload})
        }
        MenuItem::Link { title, url } => json!({"type": "web_url", "title": title, "url": url}),
    };
    json!({"locale": of.locale, "call_to_actions": of.items.iter().map(item).collect::<Vec<_>>()})
}

fn locale(json: &Value) -> String {
    text(&json["locale"]).unwrap_or_else(|| "default".to_owned())
}

fn actions(json: &Value) -> impl Iterator<Item = &Value> {
    json["call_to_actions"].as_array().into_iter().flatten()
}

fn ice_breakers(json: &Value) -> IceBreakers {
    let read =
        |one: &Value| (text(&one["question"]).unwrap_or_default(), text(&one["payload"]).unwrap_or_default());
    IceBreakers { locale: locale(json), questions: actions(json).map(read).collect() }
}

fn menu(json: &Value) -> Menu {
    let read = |one: &Value| {
        let title = text(&one["title"]).unwrap_or_default();
        match text(&one["url"]) {
            Some(url) => MenuItem::Link { title, url },
            None => MenuItem::Postback { title, payload: text(&one["payload"]).unwrap_or_default() },
        }
    };
    Menu { locale: locale(json), items: actions(json).map(read).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let breakers =
            IceBreakers { locale: "default".to_owned(), questions: vec![("a?".to_owned(), "A".to_owned())] };
        assert_eq!(ice_breakers(&breakers_json(&breakers)), breakers);
        let items = vec![
            MenuItem::Postback { title: "t".to_owned(), payload: "p".to_owned() },
            MenuItem::Link { title: "l".to_owned(), url: "https://a.example/".to_owned() },
        ];
        let written = Menu { locale: "de_DE".to_owned(), items };
        assert_eq!(menu(&menu_json(&written)), written);
    }
}
