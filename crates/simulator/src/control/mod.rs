//! The handle's methods over HTTP, for other processes and for curl.

mod behave;
mod look;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};

use crate::engine::Core;

/// `/_sim/…`.
pub(crate) fn routes() -> Router<Arc<Core>> {
    Router::new()
        .route("/", get(look::overview))
        .route("/record", get(look::record).delete(behave::clear_record))
        .route("/sends", get(look::sends))
        .route("/sender-actions", get(look::sender_actions))
        .route("/completions", get(look::completions))
        .route("/thread", get(look::thread))
        .route("/webhooks", get(look::webhooks))
        .route("/chats", get(look::chats))
        .route("/chats/{chat}", get(look::chat).patch(behave::set_chat).put(behave::put_chat))
        .route("/settings", get(look::settings).patch(behave::settings))
        .route("/accounts", get(look::accounts).post(behave::put_account))
        .route("/accounts/{account}/token", put(behave::set_tokens))
        .route("/accounts/{account}/people/{user}", put(behave::set_person))
        .route("/agents/{agent}", put(behave::put_agent))
        .route("/webhook", put(behave::set_webhook).delete(behave::no_webhook))
        .route("/webhook/handshake", post(behave::handshake))
        .route("/webhook/test", post(behave::dashboard_test))
        .route("/webhook/raw", post(behave::send_raw))
        .route("/webhook/hold", post(behave::hold))
        .route("/webhook/release", post(behave::release))
        .route("/act", post(behave::act))
        .route("/batch", post(behave::batch))
        .route("/faults", get(look::faults).post(behave::add_fault).delete(behave::clear_faults))
        .route("/faults/{fault}", axum::routing::delete(behave::clear_fault))
        .route("/clock", post(behave::advance))
        .route("/reset", post(behave::reset))
}
