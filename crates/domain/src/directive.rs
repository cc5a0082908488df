//! What an agent says besides text: directives, which it is prompted to write into its answer as a fenced block,
//!
//! ````text
//! Here you are.
//! ```dmrelay
//! {"quickReplies": ["Red", {"title": "Blue", "payload": "BLUE"}]}
//! ```
//! ````
//!
//! or gives as the arguments of a tool of the name [`TOOL`]. A block holds one JSON object with the fields of [`Block`], and nothing else.

use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The name of the tool, and the info string of a fenced block.
pub const TOOL: &str = "dmrelay";

const FENCE: &str = "```";

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Text.
    Text(String),
    /// What the agent wants to be done.
    Directives(Vec<Directive>),
    /// A block that cannot be read: why.
    Unreadable(String),
}

/// Something that the agent wants to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// Shows these quick replies with the text before it; Graph's `quick_replies`.
    QuickReplies(Value),
    /// Sends a saved message of the subaccount, by its name.
    Template {
        /// Its name.
        name: String,
        /// Values for its variables.
        variables: BTreeMap<String, String>,
    },
    /// Sends an image, by its URL.
    Image(String),
    /// Hands the chat over to a human agent once the answer is sent: why.
    HandOver(Option<String>),
    /// The conversation is over: the next message begins a new agent chat.
    End,
}

/// A block as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Block {
    #[serde(alias = "quick_replies")]
    quick_replies: Vec<Choice>,
    template: Option<String>,
    variables: BTreeMap<String, String>,
    image: Option<String>,
    #[serde(alias = "hand_over", alias = "handOver")]
    handover: Option<Reason>,
    end: bool,
}

/// A quick reply: its title, which is its payload if none is given.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Choice {
    Title(String),
    Full(FullChoice),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FullChoice {
    title: String,
    payload: Option<String>,
}

/// `true`, or why.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Reason {
    Given(String),
    Wanted(bool),
}

/// The pieces of what an agent said, in order.
pub fn read(reply: &str) -> Vec<Said> {
    if !reply.contains(TOOL) {
        return vec![Said::Text(reply.to_owned())];
    }
    let (mut said, mut text) = (Vec::new(), String::new());
    let mut lines = reply.split_inclusive('\n');
    while let Some(line) = lines.next() {
        if !is_opening(line) {
            text.push_str(line);
            continue;
        }
        if !text.trim().is_empty() {
            said.push(Said::Text(std::mem::take(&mut text)));
        }
        text.clear();
        let mut block = String::new();
        let is_closed = lines.by_ref().any(|line| {
            let is_end = line.trim() == FENCE;
            if !is_end {
                block.push_str(line);
            }
            is_end
        });
        let block = if is_closed { parse(&block) } else { Err("the block has no end".to_owned()) };
        said.push(block.map_or_else(Said::Unreadable, Said::Directives));
    }
    if !text.trim().is_empty() {
        said.push(Said::Text(text));
    }
    said
}

fn is_opening(line: &str) -> bool {
    line.trim().strip_prefix(FENCE).is_some_and(|info| info.trim() == TOOL)
}

/// The arguments of the tool, as a fenced block. Fields that Retell adds to arguments are left out.
pub fn of_tool(arguments: &str) -> String {
    let arguments = match serde_json::from_str::<Value>(arguments) {
        Ok(Value::Object(mut fields)) => {
            fields.remove("execution_message");
            Value::Object(fields).to_string()
        }
        _ => arguments.replace(FENCE, ""),
    };
    format!("{FENCE}{TOOL}\n{arguments}\n{FENCE}")
}

fn parse(block: &str) -> Result<Vec<Directive>, String> {
    let block: Block = serde_json::from_str(block).map_err(|err| {
        // Not the value at which it failed: it is what somebody said.
        let (line, column) = (err.line(), err.column());
        format!("the block is no JSON object of directives: line {line}, column {column}")
    })?;
    let mut directives = Vec::new();
    if let Some(url) = block.image {
        directives.push(Directive::Image(url));
    }
    if let Some(name) = block.template {
        directives.push(Directive::Template { name, variables: block.variables });
    } else if !block.variables.is_empty() {
        return Err("the block has variables and no template".to_owned());
    }
    if !block.quick_replies.is_empty() {
        directives.push(Directive::QuickReplies(block.quick_replies.into_iter().map(quick_reply).collect()));
    }
    match block.handover {
        Some(Reason::Given(reason)) => {
            directives.push(Directive::HandOver(Some(reason).filter(|text| !text.trim().is_empty())));
        }
        Some(Reason::Wanted(true)) => directives.push(Directive::HandOver(None)),
        Some(Reason::Wanted(false)) | None => {}
    }
    if block.end {
        directives.push(Directive::End);
    }
    if directives.is_empty() { Err("the block says nothing".to_owned()) } else { Ok(directives) }
}

fn quick_reply(choice: Choice) -> Value {
    let (title, payload) = match choice {
        Choice::Title(title) => (title, None),
        Choice::Full(FullChoice { title, payload }) => (title, payload),
    };
    let payload = payload.unwrap_or_else(|| title.clone());
    json!({ "content_type": "text", "title": title, "payload": payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> String {
        format!("{FENCE}{TOOL}\n{text}\n{FENCE}")
    }

    #[test]
    fn directives_stand_between_texts() {
        let said = read(&format!(
            "Which one?\n{}\nTake your time.\n",
            block(r#"{"quickReplies": ["Red", {"title": "Blue", "payload": "B"}]}"#)
        ));
        let replies = json!([
            {"content_type": "text", "title": "Red", "payload": "Red"},
            {"content_type": "text", "title": "Blue", "payload": "B"},
        ]);
        assert_eq!(
            said,
            [
                Said::Text("Which one?\n".to_owned()),
                Said::Directives(vec![Directive::QuickReplies(replies)]),
                Said::Text("Take your time.\n".to_owned()),
            ]
        );
    }

    #[test]
    fn a_block_may_want_several_things() {
        let all = r#"{"template": "sizes", "variables": {"name": "Ada"}, "image": "https://a.example/b.png",
            "handover": "wants a refund", "end": true}"#;
        let variables = BTreeMap::from([("name".to_owned(), "Ada".to_owned())]);
        let wanted = vec![
            Directive::Image("https://a.example/b.png".to_owned()),
            Directive::Template { name: "sizes".to_owned(), variables },
            Directive::HandOver(Some("wants a refund".to_owned())),
            Directive::End,
        ];
        assert_eq!(read(&block(all)), [Said::Directives(wanted)]);
        assert_eq!(
            read(&block(r#"{"handover": true}"#)),
            [Said::Directives(vec![Directive::HandOver(None)])]
        );
        let tool = of_tool(r#"{"handover": true, "execution_message": "One moment"}"#);
        assert_eq!(read(&tool), [Said::Directives(vec![Directive::HandOver(None)])]);
    }

    #[test]
    fn what_cannot_be_read_is_no_text_either() {
        for wrong in [
            block("{"),
            block("[]"),
            block("{}"),
            block(r#"{"handover": false}"#),
            block(r#"{"dance": true}"#),
            block(r#"{"variables": {"a": "b"}}"#),
            block(r#"{"quickReplies": [{"title": "a", "url": "b"}]}"#),
            of_tool("not JSON"),
            of_tool("```\nHello"),
            format!("{FENCE}{TOOL}\n{{\"end\": true}}"),
        ] {
            let said = read(&wrong);
            assert!(matches!(said[..], [Said::Unreadable(_)]), "{wrong}: {said:?}");
        }
    }

    #[test]
    fn other_fences_are_text() {
        for text in ["```json\n{\"dmrelay\": 1}\n```", "dmrelay", "a ```dmrelay {} ``` b"] {
            assert_eq!(read(text), [Said::Text(text.to_owned())]);
        }
    }
}
