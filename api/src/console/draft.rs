//! Messages that people write in forms: fields become Graph's `message` object, and the other way round.

use super::call::Call;
use super::html;
use crate::problem::{Problem, ValidationErrors};
use crate::services::send::faults;
use axum::response::Response;
use dmrelay_console::Draft;
use dmrelay_domain::outgoing::Template;
use serde::Deserialize;
use serde_json::{Value, json};

/// The fields of a form.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    text: String,
    #[serde(default)]
    quick_replies: String,
    #[serde(default)]
    image: String,
    #[serde(default)]
    cards: String,
    #[serde(default)]
    json: String,
}

/// `POST /console/drafts`: how a message looks that is being written. Nothing is stored.
pub(super) async fn preview(call: Call<Fields>) -> Response {
    let shown = match call.fields.message() {
        Ok(Value::Null) => dmrelay_console::preview(Ok(&Value::Null)),
        Ok(message) => match Template::parse(&message) {
            Ok(_) => dmrelay_console::preview(Ok(&message)),
            Err(err) => dmrelay_console::preview(Err(&err.faults.iter().map(fault).collect::<Vec<_>>())),
        },
        Err(problem) => dmrelay_console::preview(Err(&[problem.told()])),
    };
    html(shown)
}

fn fault(fault: &dmrelay_domain::outgoing::Fault) -> String {
    let place = fault.pointer.trim_start_matches('/').replace('/', " ");
    if place.is_empty() { fault.what.clone() } else { format!("{place}: {}", fault.what) }
}

impl Fields {
    /// Graph's `message` object; null if nothing is written.
    ///
    /// # Errors
    /// 422 for fields that do not go together, or that cannot be read.
    pub(super) fn message(&self) -> Result<Value, Problem> {
        let given = |text: &str| Some(text.trim().replace("\r\n", "\n")).filter(|text| !text.is_empty());
        let [text, replies, image, cards, own] =
            [&self.text, &self.quick_replies, &self.image, &self.cards, &self.json].map(|text| given(text));
        if let Some(own) = own {
            return serde_json::from_str(&own)
                .map_err(|err| Problem::invalid("/json", format!("is not JSON: {err}")));
        }
        let mut errors = ValidationErrors::default();
        if image.is_some() && cards.is_some() {
            errors.at("/cards", "cannot be sent together with a picture");
        }
        if (text.is_some() || replies.is_some()) && (image.is_some() || cards.is_some()) {
            errors.at("/text", "cannot be sent together with a picture or cards: send two messages");
        }
        if replies.is_some() && text.is_none() && image.is_none() && cards.is_none() {
            errors.at("/text", "is required with quick replies");
        }
        errors.end()?;
        Ok(match (text, replies, image, cards) {
            (_, _, Some(url), _) => json!({ "attachment": { "type": "image", "payload": { "url": url } } }),
            (_, _, _, Some(cards)) => {
                let elements: Vec<Value> = lines(&cards).map(card).collect();
                let payload = json!({ "template_type": "generic", "elements": elements });
                json!({ "attachment": { "type": "template", "payload": payload } })
            }
            (Some(text), Some(replies), ..) => {
                json!({ "text": text, "quick_replies": lines(&replies).map(quick_reply).collect::<Vec<_>>() })
            }
            (Some(text), None, ..) => json!({ "text": text }),
            (None, ..) => Value::Null,
        })
    }

    /// The same, as it must be to be sent.
    ///
    /// # Errors
    /// 422 with everything that is wrong with it.
    pub(super) fn checked(&self) -> Result<Value, Problem> {
        let message = self.message()?;
        if message.is_null() {
            return Err(Problem::invalid("/text", "must not be empty"));
        }
        Template::parse(&message).map_err(|err| faults("", err))?;
        Ok(message)
    }
}

/// A message as fields; as JSON if they cannot say all of it.
pub(super) fn draft(message: &Value) -> Draft {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let replies = list(&message["quick_replies"]);
    let replies: Vec<String> =
        replies.iter().map(|one| pair(&text(&one["title"]), &text(&one["payload"]))).collect();
    let payload = &message["attachment"]["payload"];
    let cards: Vec<String> = list(&payload["elements"]).iter().map(card_line).collect();
    let draft = Draft {
        text: text(&message["text"]),
        quick_replies: replies.join("\n"),
        image: text(&payload["url"]),
        cards: cards.join("\n"),
        json: String::new(),
    };
    let same = Fields {
        text: draft.text.clone(),
        quick_replies: draft.quick_replies.clone(),
        image: draft.image.clone(),
        cards: draft.cards.clone(),
        json: String::new(),
    };
    if same.message().is_ok_and(|same| same == *message) {
        return draft;
    }
    Draft { json: serde_json::to_string_pretty(message).unwrap_or_default(), ..Draft::default() }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// `title = target`; without a target the title is it.
fn split(line: &str) -> (&str, &str) {
    line.split_once(" = ").map_or((line, line), |(title, target)| (title.trim(), target.trim()))
}

fn pair(title: &str, target: &str) -> String {
    if title == target { title.to_owned() } else { format!("{title} = {target}") }
}

fn quick_reply(line: &str) -> Value {
    let (title, payload) = split(line);
    json!({ "content_type": "text", "title": title, "payload": payload })
}

/// `title | subtitle | picture | button = target; …`.
fn card(line: &str) -> Value {
    let mut parts = line.split(" | ").map(str::trim);
    let mut element = json!({ "title": parts.next().unwrap_or_default() });
    for (name, part) in ["subtitle", "image_url"].into_iter().zip(parts.by_ref().take(2)) {
        if !part.is_empty() && part != "-" {
            element[name] = json!(part);
        }
    }
    let buttons =
        parts.next().unwrap_or_default().split(';').map(str::trim).filter(|button| !button.is_empty());
    let buttons: Vec<Value> = buttons
        .map(|button| match split(button) {
            (title, url) if url.contains("://") => json!({ "type": "web_url", "title": title, "url": url }),
            (title, payload) => json!({ "type": "postback", "title": title, "payload": payload }),
        })
        .collect();
    if !buttons.is_empty() {
        element["buttons"] = json!(buttons);
    }
    element
}

fn card_line(element: &Value) -> String {
    let text = |name: &str| element[name].as_str().filter(|text| !text.is_empty()).unwrap_or("-").to_owned();
    let buttons = element["buttons"].as_array().into_iter().flatten();
    let buttons: Vec<String> = buttons
        .map(|one| {
            pair(
                one["title"].as_str().unwrap_or_default(),
                one["url"].as_str().or(one["payload"].as_str()).unwrap_or_default(),
            )
        })
        .collect();
    let mut parts = vec![text("title"), text("subtitle"), text("image_url"), buttons.join("; ")];
    while parts.last().is_some_and(|part| part.is_empty() || part == "-") {
        parts.pop();
    }
    parts.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(fields: &Fields) -> Value {
        fields.message().unwrap_or_else(|problem| json!(problem.told()))
    }

    #[test]
    fn fields_become_a_message_and_back() {
        let text = Fields {
            text: " Pick \r\none ".into(),
            quick_replies: "Red = RED\n\nBlue".into(),
            ..Fields::default()
        };
        let replies = json!({ "text": "Pick \none", "quick_replies": [
            { "content_type": "text", "title": "Red", "payload": "RED" },
            { "content_type": "text", "title": "Blue", "payload": "Blue" },
        ]});
        assert_eq!(message(&text), replies);
        let cards =
            "Vase | Blue | https://a.b/v.jpg | Order = ORDER; Shop = https://a.b\nMug | - | - | Order = MUG";
        let cards = Fields { cards: cards.into(), ..Fields::default() };
        let shown = message(&cards);
        assert_eq!(shown["attachment"]["payload"]["elements"][0]["buttons"][1]["url"], "https://a.b");
        assert_eq!(
            shown["attachment"]["payload"]["elements"][1],
            json!({ "title": "Mug", "buttons": [{ "type": "postback", "title": "Order", "payload": "MUG" }] })
        );
        assert!(Template::parse(&shown).is_ok());
        for one in [replies, shown, json!({ "text": "Hello" })] {
            let draft = draft(&one);
            assert!(draft.json.is_empty(), "{draft:?}");
        }
        // What fields cannot say stays JSON.
        let heart = json!({ "attachment": { "type": "like_heart" } });
        assert_eq!(serde_json::from_str::<Value>(&draft(&heart).json).unwrap(), heart);
        let own = Fields { json: heart.to_string(), text: "ignored".into(), ..Fields::default() };
        assert_eq!(message(&own), heart);
    }

    #[test]
    fn fields_that_do_not_go_together_are_named() {
        for (fields, what) in [
            (
                Fields { text: "a".into(), image: "https://a.b/c.png".into(), ..Fields::default() },
                "send two messages",
            ),
            (Fields { quick_replies: "Red".into(), ..Fields::default() }, "is required with quick replies"),
            (Fields { json: "{".into(), ..Fields::default() }, "is not JSON"),
        ] {
            let told = fields.message().expect_err("it passes").told();
            assert!(told.contains(what), "{told}");
        }
        assert_eq!(message(&Fields::default()), Value::Null);
    }
}
