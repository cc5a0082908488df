//! What is wrong with an account as a whole, as far as its webhooks show it.

use super::format::always;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::states::AccountSign;
use dmrelay_store::entity::account_sign;
use serde::Serialize;
use utoipa::ToSchema;

const DAY: Millis = 86_400_000;

/// Of fewer messages of its own nothing can be concluded.
const ECHOES: i64 = 10;

/// How long a budget that was used up is told.
const LATELY: Millis = 600_000;

/// Something about an account that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    code: NoticeCode,
    /// Since when it is seen.
    #[schema(format = DateTime)]
    since: String,
    /// When it was last seen.
    #[schema(format = DateTime)]
    last_at: String,
    /// How often since then.
    count: i64,
    /// What it means, and what to do.
    #[schema(example = "Another app has the conversations of this account: …")]
    message: String,
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeCode {
    /// Webhooks for the account are signed with a secret that may not speak for it.
    NotSpokenFor,
    /// Only messages of conversations that another app has arrive.
    OnlyStandby,
    /// Only edits of messages that never arrived: what an unpublished Meta app is sent.
    UnpublishedApp,
    /// Only messages arrive that the account itself has sent.
    OnlyEchoes,
    /// Meta warned or restricted the account.
    PolicyEnforcement,
    /// More events come than the budget allows: they are answered later.
    EventsOverBudget,
    /// The agent was asked as often as the budget allows: customers wait.
    TurnsOverBudget,
}

impl Notice {
    /// What it is about.
    pub fn code(&self) -> NoticeCode {
        self.code
    }

    /// What it means, and what to do.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The notices that follow from what was seen of an account, now.
    pub fn all(signs: &[account_sign::Model], now: Millis) -> Vec<Self> {
        let seen = |sign: AccountSign| signs.iter().find(|row| row.sign == sign);
        let lately = |sign, within| seen(sign).filter(|row| row.last_at > now - within);
        // Nothing of the kind that should arrive has arrived since this is seen.
        let alone = |sign| {
            let message = seen(AccountSign::Message).map_or(Millis::MIN, |row| row.last_at);
            lately(sign, DAY).filter(|row| message < row.first_at.max(row.last_at - DAY))
        };
        let notice = |row: &account_sign::Model, code, message: String| Self {
            code,
            since: always(row.first_at),
            last_at: always(row.last_at),
            count: row.count,
            message,
        };
        let not_spoken_for = lately(AccountSign::NotSpokenFor, DAY).map(|row| {
            let what = "Webhooks for this account are ignored: they are signed with another app secret than the \
                one the account was connected with. Connect it again with the secret of the Meta app that sends them, \
                or without appSecret if that is one of the operator's.";
            notice(row, NoticeCode::NotSpokenFor, what.to_owned())
        });
        let standby = alone(AccountSign::Standby).map(|row| {
            let what = "Another app has the conversations of this account, and nobody is answered here. Make this app \
                the default one: Instagram's settings, Business tools, or the conversation routing of the Facebook Page.";
            notice(row, NoticeCode::OnlyStandby, what.to_owned())
        });
        let unpublished = alone(AccountSign::EditOfNothing).map(|row| {
            let what = "Only edits of messages arrive, and never the messages. Meta sends this while its app is not \
                published: switch the app to Live, and check that it is subscribed to the field messages.";
            notice(row, NoticeCode::UnpublishedApp, what.to_owned())
        });
        let echoes =
            alone(AccountSign::Echo).filter(|row| row.count >= ECHOES && row.last_at - row.first_at > DAY);
        let echoes = echoes.map(|row| {
            let what = "Only messages arrive that the account itself has sent, and none of customers. If customers do \
                write, check the account's switch in the Instagram app (Settings, Messages and story replies, Message \
                controls, Connected tools), and the access level of the Meta app.";
            notice(row, NoticeCode::OnlyEchoes, what.to_owned())
        });
        let policy = lately(AccountSign::PolicyEnforcement, 7 * DAY).map(|row| {
            let told = row.detail.as_deref().filter(|told| !told.is_empty()).unwrap_or("no reason given");
            let what = format!(
                "Meta warned or restricted this account ({told}). See Account status in Instagram's settings."
            );
            notice(row, NoticeCode::PolicyEnforcement, what)
        });
        let events = lately(AccountSign::EventsOverBudget, LATELY).map(|row| {
            let what = "More messages and events arrive than the operator allows at a time. They are stored, and \
                answered later, in order.";
            notice(row, NoticeCode::EventsOverBudget, what.to_owned())
        });
        let turns = lately(AccountSign::TurnsOverBudget, LATELY).map(|row| {
            let told = row.detail.as_deref().unwrap_or_default();
            let what = format!(
                "The agent was asked as often as the operator allows ({told}). Customers wait until that changes, and \
                are not answered after Meta's 24 hours."
            );
            notice(row, NoticeCode::TurnsOverBudget, what)
        });
        [not_spoken_for, standby, unpublished, echoes, policy, events, turns].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sign: AccountSign, first_at: Millis, last_at: Millis) -> account_sign::Model {
        account_sign::Model {
            account: "1".to_owned(),
            sign: sign.into(),
            count: 1,
            first_at,
            last_at,
            detail: None,
        }
    }

    #[test]
    fn a_notice_is_given_while_its_cause_lasts() {
        use AccountSign::{
            EditOfNothing, EventsOverBudget, Message, NotSpokenFor, PolicyEnforcement, Standby,
            TurnsOverBudget,
        };
        let now = 100 * DAY;
        let codes = |signs: &[account_sign::Model]| {
            Notice::all(signs, now).into_iter().map(|notice| notice.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(&[]), []);
        assert_eq!(codes(&[row(NotSpokenFor, now - 9, now - 9)]), [NoticeCode::NotSpokenFor]);
        assert_eq!(codes(&[row(NotSpokenFor, 1, now - 2 * DAY)]), []);
        assert_eq!(codes(&[row(Standby, now - DAY, now - 9)]), [NoticeCode::OnlyStandby]);
        // Some conversations are another app's, and some are ours.
        assert_eq!(codes(&[row(Standby, now - 5 * DAY, now - 9), row(Message, 1, now - DAY / 2)]), []);
        // The last message came before the other app took over.
        let former = row(Message, 1, now - 3 * DAY);
        assert_eq!(codes(&[row(Standby, now - DAY, now - 9), former.clone()]), [NoticeCode::OnlyStandby]);
        assert_eq!(codes(&[row(EditOfNothing, now - 9, now - 9), former]), [NoticeCode::UnpublishedApp]);
        let echoes =
            |first_at| account_sign::Model { count: 10, ..row(AccountSign::Echo, first_at, now - 9) };
        assert_eq!(codes(&[echoes(now - 2 * DAY)]), [NoticeCode::OnlyEchoes]);
        assert_eq!(codes(&[echoes(now - 2 * DAY), row(Message, 1, now - DAY)]), []);
        assert_eq!(codes(&[echoes(now - DAY / 2)]), []);
        assert_eq!(codes(&[row(PolicyEnforcement, 1, now - 6 * DAY)]), [NoticeCode::PolicyEnforcement]);
        let budgets = [row(EventsOverBudget, 1, now - 9), row(TurnsOverBudget, 1, now - 9)];
        assert_eq!(codes(&budgets), [NoticeCode::EventsOverBudget, NoticeCode::TurnsOverBudget]);
        assert_eq!(codes(&[row(EventsOverBudget, 1, now - DAY)]), []);
    }
}
