//! Reactions of the account to what was said.

use super::inbox_profile::access_of_live;
use super::send::check_connected;
use crate::connect::graph::graph_problem;
use crate::problem::Problem;
use crate::state::ApiState;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::conversation::React;
use dmrelay_domain::ids::InstagramUserId;
use dmrelay_store::Connection;
use dmrelay_store::entity::{chat, message};

/// Maximum length of a reaction in bytes: an emoji may be made of several characters.
const REACTION_BYTES_MAX: usize = 64;

/// Reacts to a message, instead of an earlier reaction; `None` takes it back. Gives the message as it is then.
///
/// # Errors
/// 409 if the account cannot send now; 422 if the message or the reaction cannot be; what Meta says.
pub(crate) async fn react(
    state: &ApiState,
    connection: &Connection,
    (chat, row): (&chat::Model, &message::Model),
    reaction: Option<String>,
    actor: &Actor,
) -> Result<message::Model, Problem> {
    check_connected(connection)?;
    if let Some(reaction) = reaction.as_deref() {
        checked(reaction).map_err(|what| Problem::invalid("/reaction", what))?;
    }
    let known = row.mid.as_deref().filter(|_| row.kind != "unsent");
    let mid =
        known.ok_or_else(|| Problem::invalid("", "Instagram does not have this message, or no longer"))?;
    let user = InstagramUserId::parse(&chat.instagram_user_id)
        .map_err(|_| Problem::not_found("the chat's customer cannot be read"))?;
    let access = access_of_live(state, connection)?;
    // Saying it again changes nothing at Meta: what could not be stored is repeated by whoever called.
    let reacted = state.graph.react(&access, &user, mid, reaction.as_deref()).await;
    reacted.map_err(|err| graph_problem(&err))?;
    let react = React { message: row.id, reaction, actor: actor.clone() };
    state.store.react(chat.id, react).await?;
    state.store.message(row.id).await?.ok_or_else(|| Problem::not_found("the message is gone"))
}

/// Checks a reaction.
pub(crate) fn checked(reaction: &str) -> Result<(), String> {
    if is_reaction(reaction) {
        Ok(())
    } else {
        Err("must be one emoji, or a word of Meta's such as love".to_owned())
    }
}

/// Whether Meta may take it: an emoji, or a word.
fn is_reaction(text: &str) -> bool {
    let is_word = text.bytes().all(|b| b.is_ascii_lowercase());
    let is_emoji =
        text.chars().all(|c| !c.is_ascii() && !c.is_alphabetic() && !c.is_whitespace() && !c.is_control());
    (1..=REACTION_BYTES_MAX).contains(&text.len()) && (is_word || is_emoji)
}

#[cfg(test)]
mod tests {
    use super::is_reaction;

    #[test]
    fn a_reaction_is_an_emoji_or_a_word() {
        for good in ["love", "❤", "❤️", "👍🏽", "👩‍👩‍👧‍👦"] {
            assert!(is_reaction(good), "{good}");
        }
        for bad in ["", "LOVE", "two words", "a❤", "<b>", "ä", "\n", &"❤".repeat(22)] {
            assert!(!is_reaction(bad), "{bad}");
        }
    }
}
