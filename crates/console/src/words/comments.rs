//! Texts of the page of comments.

pub(crate) const INTRO: &str = "What people write below the accounts' posts, and where they mention the accounts. What happens automatically is set by a \
    rule of the account.";
pub(crate) const NONE: &str = "No comment yet.";
pub(crate) const ALL_POSTS: &str = "all posts";
pub(crate) const SOMEBODY: &str = "Somebody";
pub(crate) const MENTION: &str = "mention";
pub(crate) const LIVE: &str = "live";
pub(crate) const HIDDEN: &str = "hidden";
pub(crate) const NO_TEXT: &str = "(Instagram does not tell what it says)";
pub(crate) const PRIVATE_REPLY: &str = "Private reply";
pub(crate) const CONVERSATION: &str = "Conversation";
pub(crate) const SAME_POST: &str = "this post's comments";
pub(crate) const REPLY: &str = "Reply publicly";
pub(crate) const REPLY_LABEL: &str = "Everybody sees";
pub(crate) const HIDE: &str = "Hide";
pub(crate) const HIDE_CONFIRM: &str = "Hide this comment? Only who wrote it still sees it.";

pub(crate) fn of_post(post: &str) -> String {
    format!("Comments on the post {post}")
}

/// What became of the private reply.
pub(crate) fn state(state: &str) -> String {
    match state {
        "received" => "no rule".to_owned(),
        "pending" => "waits".to_owned(),
        "asking" => "the bot is asked".to_owned(),
        "sending" => "being answered".to_owned(),
        "replied" => "answered privately".to_owned(),
        "failed" => "not answered".to_owned(),
        "unknown" => "perhaps answered".to_owned(),
        "skipped" => "left alone".to_owned(),
        other => other.replace('_', " "),
    }
}

pub(crate) fn reason(reason: &str) -> String {
    match reason {
        "too_old" => "It is older than the seven days within which Instagram lets it be answered.".to_owned(),
        "twin" => "The same comment was told twice.".to_owned(),
        "human_answers" => "A colleague is already talking to its author.".to_owned(),
        "disconnected" => "The account was disconnected.".to_owned(),
        "no_answer" => "The agent had no answer.".to_owned(),
        other => other.to_owned(),
    }
}

pub(crate) fn public_reply(state: &str) -> &'static str {
    match state {
        "done" => "Answered publicly.",
        "failed" => "The public reply failed.",
        "unknown" => "It is not known whether the public reply appeared.",
        _ => "The public reply is under way.",
    }
}
