//! `GET /api/guide`: the first calls, to copy.

use crate::html;
use crate::problem::{PAGE, Problem};
use crate::state::ApiState;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html as markup};

/// The path of the guide.
pub(super) const GUIDE: &str = "/api/guide";

/// The documents that go further, with what they are about.
const DOCUMENTS: [(&str, &str, &str); 4] = [
    ("frontend-guide.md", "an inbox with React components", include_str!("../../../docs/frontend-guide.md")),
    ("api.md", "the conventions, permissions and problems", include_str!("../../../docs/api.md")),
    ("messages.md", "pictures, cards, comments and broadcasts", include_str!("../../../docs/messages.md")),
    ("notifications.md", "webhooks to your server", include_str!("../../../docs/notifications.md")),
];

/// One of them, as it is written.
pub(super) fn document(name: &str) -> Response {
    match DOCUMENTS.iter().find(|(known, ..)| *known == name) {
        Some((_, _, text)) => ([(CONTENT_TYPE, "text/plain; charset=utf-8")], *text).into_response(),
        None => Problem::not_found("there is no such guide").into_response(),
    }
}

/// The page, with the address of this server and, in the demo, its ids.
pub(super) fn page(state: &ApiState) -> Response {
    let base = state.base();
    let demo = state.options.demo.as_ref();
    let subaccount = demo.map_or("acme", |demo| demo.subaccount.as_str());
    let agent = demo.map_or("agent_acme", |demo| demo.agent.as_str());
    let tenant = format!("{base}/api/database/{subaccount}");
    let account = format!("{tenant}/chat-agents/{agent}/instagram");
    html::page(StatusCode::OK, "The first calls", &body(base, &tenant, &account), &[])
}

fn body(base: &str, tenant: &str, account: &str) -> Markup {
    let steps = [
        (
            "Who am I?",
            "Every call carries an API key, or in a browser the token of a session.",
            format!("export KEY=dmr_…\ncurl -sS '{tenant}/me' -H \"Authorization: Bearer $KEY\""),
        ),
        (
            "The inbox",
            "A list has items and nextCursor; pass that as cursor for the next page. folder selects: needs_human, unanswered, failed, window_closing, snoozed.",
            format!("curl -sS '{account}/chats?folder=needs_human' -H \"Authorization: Bearer $KEY\""),
        ),
        (
            "A conversation",
            "The chat, a page of its messages, the questions to the agent, and what happened when.",
            format!("curl -sS '{account}/chats/CHAT_ID' -H \"Authorization: Bearer $KEY\""),
        ),
        (
            "Writing to a customer",
            "The answer is 202: the message is stored and goes out in its turn. With the same Idempotency-Key it goes once, however often you call. The agent falls silent in this chat.",
            format!(
                "curl -sS '{account}/send' -H \"Authorization: Bearer $KEY\" \\\n  -H 'Content-Type: application/json' -H 'Idempotency-Key: 7f3a' \\\n  -d '{{\"instagramUserId\": \"CUSTOMER_ID\", \"message\": \"Your parcel is on its way.\"}}'"
            ),
        ),
        (
            "Live events",
            "A stream (Server-Sent Events) of what changes, here with the message and its chat. After a break, Last-Event-ID goes on where it stopped.",
            format!("curl -N '{tenant}/events?include=message,chat' -H \"Authorization: Bearer $KEY\""),
        ),
        (
            "People in a browser",
            "Your server makes a short-lived token for a person who has signed in with you. The API key never gets into a browser.",
            format!(
                "curl -sS '{tenant}/sessions' -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' \\\n  -d '{{\"subject\": \"ada@example.com\", \"name\": \"Ada Byron\", \"role\": \"operator\"}}'"
            ),
        ),
    ];
    markup! {
        p class="quiet" {
            "All calls with their fields are in " a href={ (base) "/api/docs/" } { "the API's document" } ". What can go wrong is in " a href={ (base) (PAGE) } { "the list of problems" }
            ". The guides go further:"
        }
        ul {
            @for (name, what, _) in DOCUMENTS { li { a href={ (base) (GUIDE) "/" (name) } { (name) } ", " (what) } }
        }
        p class="quiet" {
            "A client for TypeScript and React is in the repository: " code { "clients/typescript" } "."
        }
        @for (title, text, call) in steps {
            h2 { (title) }
            p { (text) }
            pre { code { (call) } }
        }
    }
}
