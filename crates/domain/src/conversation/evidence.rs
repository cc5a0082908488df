//! What external records show about a call whose outcome is unknown. A call counts as made if a record shows
//! it; it counts as not made only if the record would have shown it. An empty list, or one that does not
//! reach back far enough, is inconclusive.

use super::Conversation;
use super::echo::CLOCK_SKEW;
use super::rows::{Message, Turn};
use crate::clock::Millis;
use crate::signature::sha256;
use crate::states::Author;
use crate::text::{folded, same_text};

/// How far back Meta's list must reach to show that a message is absent; its times are whole seconds.
const REACH: Millis = 5_000;

/// The author of an entry in the agent's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The customer, through us.
    User,
    /// The agent.
    Agent,
    /// Tool calls, transitions, and anything a later version of the service adds.
    Other,
}

/// An entry in the agent's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordEntry {
    /// Its author.
    pub role: Role,
    /// Its content.
    pub text: String,
    /// The service's id of the entry.
    pub id: Option<String>,
}

/// The agent's record of a chat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Its entries, oldest first; `None` if the service does not show them.
    pub entries: Option<Vec<RecordEntry>>,
}

/// A message in Meta's list of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Meta's message id.
    pub mid: String,
    /// When it was created, in whole seconds.
    pub at: Millis,
    /// Whether the customer wrote it.
    pub by_customer: bool,
    /// The text; `None` for attachments.
    pub text: Option<String>,
}

/// Meta's list of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thread {
    /// Its newest messages, newest first.
    pub messages: Vec<Seen>,
    /// Whether these are all the messages.
    pub complete: bool,
}

/// What the agent's record shows about a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TurnEvidence {
    /// It was asked, and the agent answered this.
    Answered { replies: Vec<String>, watermark: Option<String> },
    /// It was asked, and not answered yet.
    Thinking,
    /// Nothing follows the last message accounted for.
    NotAsked,
    /// Inconclusive.
    Unclear,
}

/// What Meta's list shows about a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SendEvidence {
    /// It was sent, with this mid.
    Happened(String),
    /// It is absent from a list that would show it.
    DidNotHappen,
    /// Inconclusive.
    Unclear,
}

/// Hash to match the agent's copy of a question, as [`same_text`] compares. Characters of two UTF-16 units count as
/// one that could not be read: software that cuts texts may have cut them in half.
pub fn fingerprint(text: &str) -> [u8; 32] {
    let readable = |c: char| if c.len_utf16() == 1 { c } else { char::REPLACEMENT_CHARACTER };
    sha256(folded(text).map(readable).collect::<String>().as_bytes())
}

impl Record {
    /// The last message of the chat.
    pub(super) fn last_id(&self) -> Option<String> {
        self.entries.iter().flatten().rev().find_map(|entry| entry.id.clone())
    }

    /// What it shows about a turn's question.
    pub(super) fn evidence(&self, turn: &Turn) -> TurnEvidence {
        let Some(entries) = &self.entries else { return TurnEvidence::Unclear };
        let start = match turn.watermark.as_deref() {
            None => 0,
            Some(mark) => match entries.iter().position(|entry| entry.id.as_deref() == Some(mark)) {
                Some(position) => position + 1,
                None => return TurnEvidence::Unclear,
            },
        };
        let later = &entries[start..];
        let is_question = |entry: &RecordEntry| {
            entry.role == Role::User && fingerprint(&entry.text)[..] == turn.asked_hash[..]
        };
        // The same question may occur twice, once without an answer, if a human had it asked again.
        let mut asked = false;
        for (position, _) in later.iter().enumerate().filter(|(_, entry)| is_question(entry)) {
            asked = true;
            let after = &later[position + 1..];
            let until = after.iter().position(|entry| entry.role == Role::User).unwrap_or(after.len());
            let replies = spoken(&after[..until]);
            if !replies.is_empty() {
                let watermark = after[..until].iter().rev().find_map(|entry| entry.id.clone());
                return TurnEvidence::Answered { replies, watermark };
            }
        }
        // A following entry that differs may be the question in other words: personal data may be masked.
        match (asked, later.iter().any(|entry| entry.role == Role::User)) {
            (true, _) => TurnEvidence::Thinking,
            (false, false) => TurnEvidence::NotAsked,
            (false, true) => TurnEvidence::Unclear,
        }
    }
}

fn spoken(entries: &[RecordEntry]) -> Vec<String> {
    let said = |entry: &RecordEntry| {
        let text = entry.text.trim();
        (entry.role == Role::Agent && !text.is_empty()).then(|| text.to_owned())
    };
    entries.iter().filter_map(said).collect()
}

impl Conversation {
    /// What Meta's list shows about a send. The known messages of the list must be loaded.
    pub(super) fn evidence_of_send(&self, message: &Message, thread: &Thread) -> SendEvidence {
        let started = message.started_at.unwrap_or(message.created_at);
        let known = |mid: &str| self.message_by_mid(mid).map(|known| &**known);
        let is_attributed = |seen: &&Seen| {
            let is_of_app = |author| matches!(author, Author::Native | Author::Automation);
            known(&seen.mid).is_some_and(|known| !known.is_stub() && !is_of_app(known.author))
        };
        // Oldest first: of two that match, the earlier belongs to the earlier attempt.
        let since: Vec<&Seen> = thread
            .messages
            .iter()
            .rev()
            .filter(|seen| !seen.by_customer && seen.at >= started - CLOCK_SKEW && !is_attributed(seen))
            .collect();
        let says_it = |seen: &&&Seen| match (message.body.text.as_deref(), seen.text.as_deref()) {
            (Some(ours), Some(theirs)) => same_text(ours, theirs),
            (None, None) => true,
            _ => false,
        };
        if let Some(found) = since.iter().find(says_it) {
            return SendEvidence::Happened(found.mid.clone());
        }
        let shows_something_known = thread.messages.iter().any(|seen| known(&seen.mid).is_some());
        let reaches = thread.complete || thread.messages.iter().any(|seen| seen.at < started - REACH);
        if shows_something_known && reaches && since.is_empty() {
            SendEvidence::DidNotHappen
        } else {
            SendEvidence::Unclear
        }
    }
}

/// Digest of an answer, to detect whether it has grown between two reads.
pub(super) fn digest(replies: &[String]) -> String {
    hex::encode(&sha256(replies.join("\u{0}").as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TurnId;
    use crate::states::TurnState;

    fn record(entries: &[(Role, &str, &str)]) -> Record {
        let entry = |(role, text, id): &(Role, &str, &str)| RecordEntry {
            role: *role,
            text: (*text).to_owned(),
            id: Some((*id).to_owned()),
        };
        Record { entries: Some(entries.iter().map(entry).collect()) }
    }

    fn turn(text: &str, watermark: Option<&str>) -> Turn {
        Turn {
            id: TurnId::new(),
            message_ids: Vec::new(),
            asked_seq: 0,
            asked_hash: fingerprint(text).to_vec(),
            watermark: watermark.map(str::to_owned),
            agent_chat_id: None,
            rollovers: 0,
            state: TurnState::Reconciling,
            attempt: 1,
            worker: None,
            deadline: 0,
            lookups: 0,
            seen: None,
            withdrawn: None,
            written_at: 0,
            received_at: 0,
            started_at: 0,
            finished_at: None,
            latency_ms: None,
            error_class: None,
            error: None,
            trace: None,
        }
    }

    #[test]
    fn a_question_is_found_after_its_watermark() {
        use Role::{Agent, Other, User};
        let all = record(&[
            (User, "hi", "1"),
            (Agent, "hello", "2"),
            (User, "hi", "3"),
            (Other, "tool", "4"),
            (Agent, "again", "5"),
        ]);
        let answered = |text: &str, mark: &str| TurnEvidence::Answered {
            replies: vec![text.to_owned()],
            watermark: Some(mark.to_owned()),
        };
        assert_eq!(all.evidence(&turn(" hi\n", None)), answered("hello", "2"));
        assert_eq!(all.evidence(&turn("hi", Some("2"))), answered("again", "5"));
        assert_eq!(all.evidence(&turn("hi", Some("5"))), TurnEvidence::NotAsked);
        assert_eq!(all.evidence(&turn("hi", Some("gone"))), TurnEvidence::Unclear);
        let half = record(&[(User, "hi", "1"), (Agent, "hello", "2"), (User, "hi", "3")]);
        assert_eq!(half.evidence(&turn("hi", Some("2"))), TurnEvidence::Thinking);
        assert_eq!(Record::default().evidence(&turn("hi", None)), TurnEvidence::Unclear);
    }

    #[test]
    fn a_masked_question_does_not_count_as_not_asked() {
        let masked = record(&[(Role::User, "Mail me at [EMAIL]", "1"), (Role::Agent, "Done", "2")]);
        assert_eq!(masked.evidence(&turn("Mail me at a@b.c", None)), TurnEvidence::Unclear);
    }
}
