//! The operations of the services, by the names used in faults and the record.

use serde::{Deserialize, Serialize};

/// The service of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Meta's Graph API, on either host.
    Graph,
    /// Retell's chat API.
    Retell,
    /// The service that puts media into words.
    Words,
}

/// The operation of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `POST /{id}/messages` with a message.
    Send,
    /// `POST /{id}/message_attachments`.
    Upload,
    /// `GET /{comment}`.
    Comment,
    /// `POST /{comment}/replies`, and `POST /{comment}` to hide it.
    ModerateComment,
    /// `POST /{id}/messages` with a sender action.
    SenderAction,
    /// `GET /{IGSID}`.
    Profile,
    /// `GET /{id}/conversations`.
    Conversations,
    /// `GET /{conversation}` and `GET /{conversation}/messages`.
    Conversation,
    /// `GET /{mid}`.
    Message,
    /// `POST /{id}/subscribed_apps`.
    Subscribe,
    /// `GET /{id}/subscribed_apps`.
    Subscriptions,
    /// `DELETE /{id}/subscribed_apps`.
    Unsubscribe,
    /// `GET /{id}/thread_owner`.
    ThreadOwner,
    /// `POST /{id}/take_thread_control`.
    TakeThread,
    /// `POST /{id}/release_thread_control`.
    ReleaseThread,
    /// `POST /{id}/pass_thread_control`.
    PassThread,
    /// `POST /{id}/messenger_profile`.
    SetProfile,
    /// `GET /{id}/messenger_profile`.
    GetProfile,
    /// `DELETE /{id}/messenger_profile`.
    DeleteProfile,
    /// `GET /me` and `GET /{account}`.
    Me,
    /// `GET /me/permissions`.
    Permissions,
    /// A code of a login becomes a token: `POST /oauth/access_token` of api.instagram.com, `GET /oauth/access_token?code=`.
    RedeemCode,
    /// `GET /me/accounts`.
    Pages,
    /// `GET /debug_token`.
    DebugToken,
    /// `GET /refresh_access_token`.
    RefreshToken,
    /// `GET /access_token`, and `GET /oauth/access_token?fb_exchange_token=`.
    ExchangeToken,
    /// `POST /create-chat`.
    CreateChat,
    /// `POST /create-chat-completion`.
    Completion,
    /// `GET /get-chat/{id}`.
    GetChat,
    /// `PATCH /end-chat/{id}`.
    EndChat,
    /// `PATCH /update-chat/{id}`.
    UpdateChat,
    /// `DELETE /delete-chat/{id}`.
    DeleteChat,
    /// `GET /get-chat-agent/{id}`.
    GetAgent,
    /// `POST /v3/list-chats` and `GET /list-chat`.
    ListChats,
    /// `POST /v1/audio/transcriptions`.
    Transcribe,
    /// `POST /v1/chat/completions`.
    Describe,
    /// Unknown to the services, or rejected before it was parsed.
    Unknown,
}

impl Operation {
    /// The name used in the record.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Send => "graph.send",
            Self::Upload => "graph.upload",
            Self::Comment => "graph.comment",
            Self::ModerateComment => "graph.moderate_comment",
            Self::SenderAction => "graph.sender_action",
            Self::Profile => "graph.profile",
            Self::Conversations => "graph.conversations",
            Self::Conversation => "graph.conversation",
            Self::Message => "graph.message",
            Self::Subscribe => "graph.subscribe",
            Self::Subscriptions => "graph.subscriptions",
            Self::Unsubscribe => "graph.unsubscribe",
            Self::ThreadOwner => "graph.thread_owner",
            Self::TakeThread => "graph.take_thread",
            Self::ReleaseThread => "graph.release_thread",
            Self::PassThread => "graph.pass_thread",
            Self::SetProfile => "graph.set_profile",
            Self::GetProfile => "graph.get_profile",
            Self::DeleteProfile => "graph.delete_profile",
            Self::Me => "graph.me",
            Self::Permissions => "graph.permissions",
            Self::RedeemCode => "graph.redeem_code",
            Self::Pages => "graph.pages",
            Self::DebugToken => "graph.debug_token",
            Self::RefreshToken => "graph.refresh_token",
            Self::ExchangeToken => "graph.exchange_token",
            Self::CreateChat => "retell.create_chat",
            Self::Completion => "retell.completion",
            Self::GetChat => "retell.get_chat",
            Self::EndChat => "retell.end_chat",
            Self::UpdateChat => "retell.update_chat",
            Self::DeleteChat => "retell.delete_chat",
            Self::GetAgent => "retell.get_agent",
            Self::ListChats => "retell.list_chats",
            Self::Transcribe => "words.transcribe",
            Self::Describe => "words.describe",
            Self::Unknown => "unknown",
        }
    }
}
