//! Connections.

use super::enums;
use super::format::{always, time};
use super::settings::{ConnectionSettings, EffectiveSettings, SettingDefaults};
use dmrelay_domain::states::ConnectionStatus;
use dmrelay_instagram::links::{self, InvalidLink};
use dmrelay_store::Connection;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// An Instagram account connected to an agent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Connection)]
pub struct ConnectionView {
    /// The id of the connection.
    pub connection_id: Uuid,
    /// The agent that answers.
    #[schema(example = "agent_acme")]
    pub agent_id: String,
    /// Whether it works.
    #[schema(schema_with = enums::connection_status)]
    pub status: String,
    /// Why the connection is in this state, if there is more to say.
    pub status_reason: Option<String>,
    /// Whether the bot is paused for the whole account.
    pub bot_paused: bool,
    /// The login of its token.
    #[schema(schema_with = enums::login_kind)]
    pub login_kind: &'static str,
    /// The account's id at Meta.
    #[schema(example = "17841400000000001")]
    pub instagram_account_id: String,
    /// The Facebook Page, with Facebook Login.
    pub page_id: Option<String>,
    /// The account's handle.
    pub username: Option<String>,
    /// The webhook fields the account is subscribed to.
    pub subscribed_fields: Vec<String>,
    /// What was set for it.
    pub settings: ConnectionSettings,
    /// What holds where a setting is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = EffectiveSettings)]
    pub effective: Option<EffectiveSettings>,
    /// When it was connected last.
    #[schema(format = DateTime)]
    pub connected_at: Option<String>,
    /// When the last webhook arrived.
    #[schema(format = DateTime)]
    pub last_event_at: Option<String>,
    /// When its access token ends; null if it does not.
    #[schema(format = DateTime)]
    pub token_expires_at: Option<String>,
    /// When it was connected first.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// Links through which customers reach the account. `GET …/qr-code` has their QR codes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntryPoints {
    /// Opens the conversation with the account.
    #[schema(example = "https://ig.me/m/acme")]
    pub direct_message: String,
    /// Opens the account's profile.
    #[schema(example = "https://www.instagram.com/acme/")]
    pub profile: String,
    /// Their QR codes as pictures, for `<img>`. They need no key. `&format=png` and `&size=512` may be added.
    pub qr_codes: QrCodes,
}

/// The addresses of QR codes, as SVG of 256 pixels.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QrCodes {
    /// Of the link to the conversation.
    #[schema(example = "https://dmrelay.example.com/qr-code/0190…?link=direct_message")]
    pub direct_message: String,
    /// Of the link to the profile.
    #[schema(example = "https://dmrelay.example.com/qr-code/0190…?link=profile")]
    pub profile: String,
}

/// The address to which Meta sends this connection's webhooks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookAddress)]
pub struct WebhookView {
    /// The URL to paste into Meta's dashboard.
    pub callback_url: String,
}

impl ConnectionView {
    /// The view of a row, with what holds where these are the defaults; without them, without that.
    pub fn of(connection: &Connection, defaults: Option<SettingDefaults>) -> Self {
        let row = &connection.row;
        Self {
            connection_id: connection.id.0,
            agent_id: connection.agent.to_string(),
            status: connection.status.to_string(),
            status_reason: row.status_reason.clone(),
            bot_paused: row.bot_paused,
            login_kind: connection.login.as_str(),
            instagram_account_id: connection.account.to_string(),
            page_id: row.page_id.clone(),
            username: row.username.clone(),
            subscribed_fields: serde_json::from_str(&row.subscribed_fields).unwrap_or_default(),
            effective: defaults.map(|defaults| EffectiveSettings::of(&connection.settings, defaults)),
            settings: connection.settings.clone().into(),
            connected_at: row.connected_at.and_then(time),
            last_event_at: row.last_event_at.and_then(time),
            token_expires_at: row.token_expires_at.and_then(time),
            created_at: always(row.created_at),
        }
    }
}

impl EntryPoints {
    /// The links of a connected account; `None` if Graph gave no username. `base` is this server's URL, without a slash at the end.
    ///
    /// # Errors
    /// If `reference` is not a valid `ref`.
    pub fn of(
        connection: &Connection,
        reference: Option<&str>,
        base: &str,
    ) -> Result<Option<Self>, InvalidLink> {
        let Some(username) = connection.row.username.as_deref() else { return Ok(None) };
        if connection.status == ConnectionStatus::Disconnected {
            return Ok(None);
        }
        let code = |link: &str| format!("{base}/qr-code/{}?link={link}", connection.id);
        // It is letters, digits, `_`, `=` and `-`.
        let reference_of_code =
            reference.map_or_else(String::new, |reference| format!("&ref={}", reference.replace('=', "%3D")));
        Ok(Some(Self {
            direct_message: links::direct_message(username, reference)?,
            profile: links::profile(username)?,
            qr_codes: QrCodes {
                direct_message: code("direct_message") + &reference_of_code,
                profile: code("profile"),
            },
        }))
    }
}
