//! What our own rows tell: when the token ends, and what webhooks have brought.

use crate::state::ApiState;
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::silence::Silence;
use dmrelay_domain::states::{CheckName, CheckState, LoginKind};
use dmrelay_store::{Connection, Finding, Result};
use dmrelay_views::{Notice, NoticeCode};

const DAY: Millis = 86_400_000;
const HOUR: Millis = 3_600_000;

/// Workers renew Instagram tokens when ten days are left, by default (`TOKEN_REFRESH_DAYS`): with fewer, that has failed.
const RENEWED_DAYS: i64 = 9;

/// A token that is not renewed is told of so many days before.
const TOLD_DAYS: i64 = 14;

/// From here on it is urgent.
const URGENT_DAYS: i64 = 3;

pub(super) async fn seen(
    state: &ApiState,
    connection: &Connection,
    token_ends_at: Option<Millis>,
) -> Result<Vec<Finding>> {
    let now = state.store.now().await?;
    let signs = state.store.signs(connection.account.as_str()).await?;
    let notices = Notice::all(&signs, now);
    let per_day = state.store.usual_traffic(connection, now).await?;
    Ok(vec![
        token_end(connection.login, token_ends_at.map(|end| (end - now).div_euclid(DAY))),
        traffic(state, connection, (now, per_day)),
        by_notice(
            &notices,
            CheckName::Routing,
            &[NoticeCode::OnlyStandby],
            "No other app controls the conversations.",
        ),
        by_notice(
            &notices,
            CheckName::Delivery,
            &[NoticeCode::NotSpokenFor, NoticeCode::UnpublishedApp, NoticeCode::OnlyEchoes],
            "Meta's deliveries look normal.",
        ),
    ])
}

fn token_end(login: LoginKind, days: Option<i64>) -> Finding {
    let found = |state, detail| Finding { name: CheckName::TokenEnd, state, detail };
    let Some(days) = days else {
        let what = match login {
            LoginKind::Facebook => "No expiry is known for this Page token.",
            LoginKind::Instagram => "The token's expiry time is unknown; it is renewed automatically.",
        };
        return found(CheckState::Ok, what.to_owned());
    };
    let told = match login {
        LoginKind::Instagram => RENEWED_DAYS,
        LoginKind::Facebook => TOLD_DAYS,
    };
    let state = match days {
        days if days <= URGENT_DAYS => CheckState::Failing,
        days if days < told => CheckState::Warning,
        _ => return found(CheckState::Ok, format!("The token is valid for {days} more days.")),
    };
    let why = match login {
        LoginKind::Instagram => "It has not been renewed automatically",
        LoginKind::Facebook => "A Page's token cannot be renewed automatically",
    };
    let left = match days {
        ..1 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        _ => format!("{days} days"),
    };
    found(state, format!("The token expires in {left}. {why}. Log in again to renew it."))
}

/// The last event, by the account's own usual traffic.
fn traffic(state: &ApiState, connection: &Connection, (now, per_day): (Millis, f64)) -> Finding {
    let found = |state, detail| Finding { name: CheckName::Traffic, state, detail };
    let settings = &state.options.api.health;
    let (since, last) = (connection.row.connected_since(), connection.row.quiet_since());
    let silence = Silence { least: millis(settings.silence_min), missing: settings.silence_messages.into() };
    let hours = (now - last) / HOUR;
    if connection.row.last_event_at.is_none() {
        if now - since < DAY {
            return found(
                CheckState::Ok,
                "Connected less than a day ago; no event has arrived yet.".to_owned(),
            );
        }
        let what = "No event has arrived since it was connected. Write to the account; if nothing arrives, check the webhook in Meta's \
                    dashboard.";
        return found(CheckState::Warning, what.to_owned());
    }
    if silence.is_odd(now - last, per_day) {
        let what = format!(
            "No event for {hours} hours, though customers usually write {per_day:.0} messages a day. Write to the account; if \
             nothing arrives, check the webhook in Meta's dashboard."
        );
        return found(CheckState::Warning, what);
    }
    found(CheckState::Ok, format!("The last event came {hours} hours ago."))
}

fn by_notice(notices: &[Notice], name: CheckName, codes: &[NoticeCode], fine: &str) -> Finding {
    let notice = notices.iter().find(|notice| codes.contains(&notice.code()));
    let (state, detail) =
        notice.map_or((CheckState::Ok, fine), |notice| (CheckState::Failing, notice.message()));
    Finding { name, state, detail: detail.to_owned() }
}
