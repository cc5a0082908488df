//! Comments on posts of the accounts, and mentions of them.

use crate::content::message;
use crate::page::{curl, of_agent};
use crate::words::{self, comments as text};
use crate::{BASE, Person};
use dmrelay_domain::permission::Permission;
use dmrelay_views::CommentView;
use maud::{Markup, html};

/// The page.
pub struct Comments<'a> {
    /// Who looks.
    pub person: &'a Person,
    /// One of their agents, to show the same over REST.
    pub agent: &'a str,
    /// The comments, newest first.
    pub all: &'a [CommentView],
    /// The cursor of the next page.
    pub next: Option<String>,
    /// The post whose comments are shown; all posts if empty.
    pub post: &'a str,
    /// Whether this is the first page, which is kept live.
    pub is_first: bool,
}

/// The page's panes.
pub fn comments(page: &Comments<'_>) -> Markup {
    html! {
        main id="main" class="sheet" {
            h1 { (words::COMMENTS) }
            p class="quiet" { (text::INTRO) }
            @if !page.post.is_empty() {
                p { (text::of_post(page.post)) " · " a href={ (BASE) "/comments" } { (text::ALL_POSTS) } }
            }
            (list(page))
            @if let Some(next) = &page.next {
                a class="more" href={ (BASE) "/comments?post=" (page.post) "&cursor=" (next) } { (words::MORE) }
            }
            (curl(page.person, &of_agent(page.agent, "comments")))
        }
    }
}

/// The comments, as a fragment.
pub fn list(page: &Comments<'_>) -> Markup {
    let is_live = page.is_first && page.post.is_empty();
    html! {
        div id="comments" data-tail=[is_live.then_some("comments")] {
            @for comment in page.all { (card(page.person, comment)) }
            @if page.all.is_empty() { p class="empty" { (text::NONE) } }
        }
    }
}

/// A comment, as a fragment.
pub fn card(person: &Person, comment: &CommentView) -> Markup {
    let is_comment = comment.kind == "comment";
    let may = person.may(Permission::Send) && is_comment;
    let can = |deed: Option<&str>| deed.is_none_or(|state| state == "failed");
    html! {
        section class="card comment" id={ "c-" (comment.comment_id) } {
            header {
                h2 { @if let Some(name) = &comment.username { "@" (name) } @else { (text::SOMEBODY) } }
                @if !is_comment { span class="pill" { (text::MENTION) } }
                @if comment.is_live { span class="pill" { (text::LIVE) } }
                span class={ "pill " (comment.state) } { (text::state(&comment.state)) }
                @if comment.hidden.as_deref() == Some("done") { span class="pill" { (text::HIDDEN) } }
                span class="quiet" { time datetime=(comment.received_at) data-ago { (comment.received_at) } }
            }
            p { (comment.text.as_deref().unwrap_or(text::NO_TEXT)) }
            @if let Some(reason) = &comment.reason { p class="quiet" { (text::reason(reason)) } }
            @if let Some(error) = &comment.error { p class="quiet" { (error) } }
            @if !comment.reply.is_null() {
                p class="caption" { (text::PRIVATE_REPLY) }
                div class="bubble bot" { (message(&comment.reply)) }
            }
            @if let Some(state) = &comment.public_reply { p class="quiet" { (text::public_reply(state)) } }
            div class="acts" {
                @if let Some(chat) = comment.chat_id { a class="button small" href={ (BASE) "/inbox?chat=" (chat) } { (text::CONVERSATION) } }
                @if let Some(post) = &comment.instagram_media_id { a href={ (BASE) "/comments?post=" (post) } { (text::SAME_POST) } }
                @if may && can(comment.public_reply.as_deref()) {
                    details {
                        summary { (text::REPLY) }
                        form class="stack" method="post" action={ (BASE) "/comments/" (comment.comment_id) "/reply" } data-post {
                            input type="hidden" name="csrf" value=(person.csrf);
                            label { (text::REPLY_LABEL) input name="text" required maxlength="1000" autocomplete="off"; }
                            button class="small take" { (text::REPLY) }
                        }
                    }
                }
                @if may && (can(comment.hidden.as_deref()) || comment.hidden.as_deref() == Some("unknown")) {
                    form method="post" action={ (BASE) "/comments/" (comment.comment_id) "/hide" } data-post data-confirm=(text::HIDE_CONFIRM) {
                        input type="hidden" name="csrf" value=(person.csrf);
                        button class="small" { (text::HIDE) }
                    }
                }
            }
        }
    }
}
