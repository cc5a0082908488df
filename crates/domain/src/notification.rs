//! What operators and businesses are told of: incidents, when they begin and when they are over, and who is told how.

use crate::clock::Millis;
use crate::ids::{ConnectionId, IncidentId, SubaccountId};
use crate::states::words;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

words!(
    /// What an incident is about.
    IncidentKind {
        /// Meta rejects the token of an account.
        ReauthRequired = "reauth_required",
        /// The token of an account, or the app's access to its data, ends soon.
        TokenEnding = "token_ending",
        /// An account receives far less than usual.
        Silence = "silence",
        /// Another check of an account's health fails.
        CheckFailing = "check_failing",
        /// Calls to Meta or to the agent are suspended by a circuit breaker.
        CircuitOpen = "circuit_open",
        /// Messages or events have failed for good.
        DeadLetters = "dead_letters",
        /// A budget of questions to the agent is used up.
        BudgetReached = "budget_reached",
        /// The agent, or a rule, handed conversations over, and nobody has come yet.
        HandedOver = "handed_over",
    }
);

words!(
    /// How somebody is notified.
    Channel {
        /// A signed HTTP request.
        Webhook = "webhook",
        /// An e-mail.
        Email = "email",
    }
);

words!(
    /// What a notification says.
    NotificationType {
        /// An incident began.
        Opened = "incident.opened",
        /// An incident is over.
        Resolved = "incident.resolved",
        /// Nothing happened: somebody tests the target.
        Test = "test",
    }
);

words!(
    /// The state of a notification.
    NotificationState {
        /// It is to be delivered, perhaps again.
        Pending = "pending",
        /// The target accepted it.
        Delivered = "delivered",
        /// It was given up.
        Failed = "failed",
    }
);

impl IncidentKind {
    /// The incident in a few words, as the subject of an e-mail begins.
    pub fn title(self) -> &'static str {
        match self {
            Self::ReauthRequired => "The account must be reconnected",
            Self::TokenEnding => "The account's access ends soon",
            Self::Silence => "The account receives less than usual",
            Self::CheckFailing => "A check of the account fails",
            Self::CircuitOpen => "Calls are suspended",
            Self::DeadLetters => "Messages failed",
            Self::BudgetReached => "A budget is used up",
            Self::HandedOver => "Customers wait for a human",
        }
    }

    /// What people can do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::ReauthRequired => {
                "Connect the account again. Messages are kept until then, and answered as far as Meta's window allows."
            }
            Self::TokenEnding => "Connect the account again before its access ends.",
            Self::Silence => {
                "Check the account's message settings in the Instagram app, and whether the Meta app is published and subscribed."
            }
            Self::CheckFailing => "Open the account's status: it says what to do.",
            Self::CircuitOpen => {
                "Messages wait and are sent once the service accepts calls again. Look at the service's own status if it lasts."
            }
            Self::DeadLetters => "Open the list of dead letters. Replay or discard what it shows.",
            Self::BudgetReached => {
                "Questions to the agent wait until the hour or the day (UTC) is over. Ask your operator for a larger budget if this \
                 happens often."
            }
            Self::HandedOver => "Answer the conversations that were handed over, or release them to the bot.",
        }
    }
}

/// An attempt to deliver a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When it ended, in milliseconds.
    pub at: Millis,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The HTTP status or SMTP code of the answer, if there was one.
    pub status: Option<u16>,
    /// Why it failed; `None` if it did not.
    pub error: Option<String>,
}

impl Attempt {
    /// Reads stored attempts; what is no list of them is none.
    pub fn read_all(text: &str) -> Vec<Self> {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The stored form of a list of attempts.
    pub fn write_all(attempts: &[Self]) -> String {
        serde_json::to_string(attempts).unwrap_or_else(|_| "[]".to_owned())
    }
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What it is.
    pub kind: IncidentKind,
    /// What it concerns: two conditions of one kind and subject are the same.
    pub subject: String,
    /// The tenant; `None` if it concerns the installation.
    pub subaccount: Option<SubaccountId>,
    /// The account, if it concerns one.
    pub account: Option<ConcernedAccount>,
    /// What was found, in words.
    pub detail: String,
    /// Since when, where that is known.
    pub since: Option<Millis>,
}

/// The account that an incident concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConcernedAccount {
    /// The connection.
    pub connection: ConnectionId,
    /// Its Instagram account.
    pub instagram_account_id: String,
    /// Its handle.
    pub username: Option<String>,
}

/// An incident that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIncident {
    /// Our id.
    pub id: IncidentId,
    /// What it is.
    pub kind: IncidentKind,
    /// What it concerns.
    pub subject: String,
    /// What was found last, in words.
    pub detail: String,
    /// When it was last seen.
    pub seen_at: Millis,
}

/// What is to be written of incidents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IncidentChanges {
    /// Conditions of which there is no open incident.
    pub begun: Vec<Condition>,
    /// Incidents that still last.
    pub seen: Vec<IncidentId>,
    /// Those of them of which something else is found now.
    pub changed: Vec<(IncidentId, String)>,
    /// Incidents that were last seen longer ago than `clear_after`.
    pub over: Vec<IncidentId>,
}

/// Compares the open incidents with what is wrong now. An incident is over only once its condition has been gone for `clear_after`
/// milliseconds: one that comes and goes is one incident.
pub fn compare(
    open: &[OpenIncident],
    conditions: Vec<Condition>,
    now: Millis,
    clear_after: Millis,
) -> IncidentChanges {
    let known: HashMap<(IncidentKind, &str), &OpenIncident> =
        open.iter().map(|incident| ((incident.kind, incident.subject.as_str()), incident)).collect();
    let mut changes = IncidentChanges::default();
    let mut now_wrong = HashSet::new();
    for condition in conditions {
        if !now_wrong.insert((condition.kind, condition.subject.clone())) {
            continue;
        }
        match known.get(&(condition.kind, condition.subject.as_str())) {
            Some(incident) => {
                changes.seen.push(incident.id);
                if incident.detail != condition.detail {
                    changes.changed.push((incident.id, condition.detail));
                }
            }
            None => changes.begun.push(condition),
        }
    }
    let is_over = |incident: &&OpenIncident| {
        !now_wrong.contains(&(incident.kind, incident.subject.clone()))
            && now.saturating_sub(incident.seen_at) >= clear_after
    };
    changes.over.extend(open.iter().filter(is_over).map(|incident| incident.id));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(kind: IncidentKind, subject: &str) -> Condition {
        Condition {
            kind,
            subject: subject.to_owned(),
            subaccount: None,
            account: None,
            detail: String::new(),
            since: None,
        }
    }

    fn open(kind: IncidentKind, subject: &str, seen_at: Millis) -> OpenIncident {
        OpenIncident {
            id: IncidentId::new(),
            kind,
            subject: subject.to_owned(),
            detail: String::new(),
            seen_at,
        }
    }

    #[test]
    fn a_condition_is_one_incident_until_it_has_been_gone_for_a_while() {
        use IncidentKind::{CircuitOpen, Silence};
        let (silent, failing) = (open(Silence, "a", 0), open(CircuitOpen, "a", 900));
        let incidents = [silent.clone(), failing.clone()];
        // Still there, and another.
        let conditions = vec![condition(Silence, "a"), condition(Silence, "b"), condition(Silence, "b")];
        let changes = compare(&incidents, conditions, 1_000, 500);
        assert_eq!(changes.seen, [silent.id]);
        assert_eq!(changes.begun, [condition(Silence, "b")]);
        assert!(changes.over.is_empty(), "the circuit was open a moment ago");
        let changes = compare(&incidents, Vec::new(), 1_400, 500);
        assert_eq!(changes.over, [silent.id, failing.id]);
        assert_eq!(compare(&incidents, Vec::new(), 1_399, 500).over, [silent.id]);
    }

    #[test]
    fn what_is_found_of_an_incident_is_kept_up_to_date() {
        let incident = open(IncidentKind::DeadLetters, "a", 0);
        let worse = Condition {
            detail: "2 messages have failed.".to_owned(),
            ..condition(IncidentKind::DeadLetters, "a")
        };
        let changes = compare(std::slice::from_ref(&incident), vec![worse], 1_000, 500);
        assert_eq!(changes.changed, [(incident.id, "2 messages have failed.".to_owned())]);
    }

    #[test]
    fn every_kind_says_what_to_do() {
        for kind in IncidentKind::ALL {
            assert!(kind.advice().ends_with('.') && !kind.title().ends_with('.'), "{kind}");
        }
    }
}
