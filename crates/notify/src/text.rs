//! Notifications in words.

use crate::{Incident, Notification};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::notification::NotificationType;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// What a test says.
pub(crate) const TEST: &str = "This is a test of dmrelay's notifications. Nothing has happened.";

fn moment(at: Millis) -> OffsetDateTime {
    let nanos = i128::from(at) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// RFC 3339, in UTC.
pub(crate) fn rfc_3339(at: Millis) -> String {
    moment(at).format(&Rfc3339).unwrap_or_default()
}

/// For people: `2026-11-26 20:07 UTC`.
fn for_people(at: Millis) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    moment(at).format(&format).unwrap_or_default()
}

/// The subject of an e-mail.
pub(crate) fn subject(notification: &Notification) -> String {
    let Some(incident) = &notification.incident else { return "[dmrelay] Test".to_owned() };
    let over = if notification.kind == NotificationType::Resolved { "Resolved: " } else { "" };
    let who = who(incident).map(|who| format!(" ({who})")).unwrap_or_default();
    format!("[dmrelay] {over}{}{who}", incident.kind.title())
}

fn who(incident: &Incident) -> Option<String> {
    let account = incident.account.as_ref().map(|account| {
        account
            .username
            .as_ref()
            .map_or_else(|| account.instagram_account_id.clone(), |handle| format!("@{handle}"))
    });
    account.or_else(|| incident.subaccount.clone())
}

/// The text of an e-mail.
pub(crate) fn text(notification: &Notification) -> String {
    let Some(incident) = &notification.incident else { return format!("{TEST}\n") };
    let mut lines = Vec::new();
    if notification.kind == NotificationType::Resolved {
        let ended = incident.ended_at.map(|at| format!(" at {}", for_people(at))).unwrap_or_default();
        lines.push(format!("Resolved{ended}:"));
    }
    lines.push(incident.detail.clone());
    lines.push(String::new());
    if let Some(account) = &incident.account {
        let handle = account.username.as_ref().map(|handle| format!("@{handle}, ")).unwrap_or_default();
        lines.push(format!("Account: {handle}{}", account.instagram_account_id));
    }
    if let Some(subaccount) = &incident.subaccount {
        lines.push(format!("Subaccount: {subaccount}"));
    }
    lines.push(format!("Since: {}", for_people(incident.since)));
    if notification.kind == NotificationType::Opened {
        lines.push(String::new());
        lines.push(incident.kind.advice().to_owned());
    }
    lines.push(String::new());
    lines.push("-- ".to_owned());
    lines.push(format!("dmrelay, notification {}", notification.id));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use dmrelay_domain::ids::{ConnectionId, IncidentId, NotificationId};
    use dmrelay_domain::notification::{ConcernedAccount, IncidentKind};

    fn notification(kind: NotificationType) -> Notification {
        let account = ConcernedAccount {
            connection: ConnectionId::new(),
            instagram_account_id: "17841400000000001".to_owned(),
            username: Some("acme".to_owned()),
        };
        let incident = Incident {
            id: IncidentId::new(),
            kind: IncidentKind::ReauthRequired,
            subaccount: Some("shop".to_owned()),
            account: Some(account),
            detail: "Meta rejects the token of @acme (190/460).".to_owned(),
            since: 1_700_000_000_000,
            ended_at: Some(1_700_003_600_000),
        };
        let id = NotificationId::new();
        Notification { id, kind, at: 1_700_000_000_000, incident: Some(incident) }
    }

    #[test]
    fn an_e_mail_says_what_is_wrong_since_when_and_what_to_do() {
        let opened = notification(NotificationType::Opened);
        assert_eq!(subject(&opened), "[dmrelay] The account must be reconnected (@acme)");
        let text = text(&opened);
        for part in [
            "Meta rejects the token of @acme (190/460).\n",
            "Account: @acme, 17841400000000001\n",
            "Subaccount: shop\n",
            "Since: 2023-11-14 22:13 UTC\n",
            "Connect the account again.",
        ] {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
    }

    #[test]
    fn the_end_of_an_incident_needs_no_advice() {
        let resolved = notification(NotificationType::Resolved);
        assert_eq!(subject(&resolved), "[dmrelay] Resolved: The account must be reconnected (@acme)");
        let text = text(&resolved);
        assert!(text.starts_with("Resolved at 2023-11-14 23:13 UTC:\n"), "{text}");
        assert!(!text.contains("Connect the account again."), "{text}");
    }
}
