//! Connections.

use super::enums;
use super::format::{always, time};
use super::settings::ConnectionSettings;
use dmrelay_domain::states::ConnectionStatus;
use dmrelay_instagram::links::{self, InvalidLink, QrLink};
use dmrelay_store::Connection;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// An Instagram account connected to an agent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Connection)]
pub struct ConnectionView {
    connection_id: Uuid,
    /// The agent that answers.
    #[schema(example = "agent_acme")]
    agent_id: String,
    #[schema(schema_with = enums::connection_status)]
    status: String,
    /// Why the connection is in this state, if there is more to say.
    status_reason: Option<String>,
    /// Whether the bot is paused for the whole account.
    bot_paused: bool,
    #[schema(schema_with = enums::login_kind)]
    login_kind: &'static str,
    #[schema(example = "17841400000000001")]
    instagram_account_id: String,
    page_id: Option<String>,
    /// The account's handle.
    username: Option<String>,
    /// The webhook fields the account is subscribed to.
    subscribed_fields: Vec<String>,
    settings: ConnectionSettings,
    #[schema(format = DateTime)]
    connected_at: Option<String>,
    /// When the last webhook arrived.
    #[schema(format = DateTime)]
    last_event_at: Option<String>,
    #[schema(format = DateTime)]
    token_expires_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

/// Links through which customers reach the account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntryPoints {
    /// Opens the conversation with the account.
    direct_message: QrView,
    /// Opens the account's profile.
    profile: QrView,
}

/// A link and its QR code.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = QrCode)]
pub struct QrView {
    #[schema(example = "https://ig.me/m/acme")]
    link: String,
    /// The QR code as an SVG document.
    qr_svg: String,
    /// The QR code as a PNG data URL.
    qr_png: String,
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
    /// The view of a row.
    pub fn of(connection: &Connection) -> Self {
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
            settings: connection.settings.clone().into(),
            connected_at: row.connected_at.and_then(time),
            last_event_at: row.last_event_at.and_then(time),
            token_expires_at: row.token_expires_at.and_then(time),
            created_at: always(row.created_at),
        }
    }
}

impl EntryPoints {
    /// The links of a connected account, with their QR codes; `None` if Graph gave no username.
    ///
    /// # Errors
    /// If `reference` is not a valid `ref`.
    pub fn of(connection: &Connection, reference: Option<&str>) -> Result<Option<Self>, InvalidLink> {
        let Some(username) = connection.row.username.as_deref() else { return Ok(None) };
        if connection.status == ConnectionStatus::Disconnected {
            return Ok(None);
        }
        let message = links::qr(&links::direct_message(username, reference)?)?;
        let profile = links::qr(&links::profile(username)?)?;
        Ok(Some(Self { direct_message: QrView::of(message), profile: QrView::of(profile) }))
    }
}

impl QrView {
    fn of(qr: QrLink) -> Self {
        Self { link: qr.link, qr_svg: qr.svg, qr_png: qr.png_data_url }
    }
}
