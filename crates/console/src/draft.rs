//! A message that somebody writes in a form: a text with quick replies, a picture, cards, or Graph's own object.

use crate::content::message;
use crate::words::draft as text;
use maud::{Markup, html};
use serde_json::Value;

/// The fields of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// What it says.
    pub text: String,
    /// Buttons below it, one a line: `title = payload`.
    pub quick_replies: String,
    /// The address of a picture.
    pub image: String,
    /// Cards, one a line: `title | subtitle | picture | button = target; …`.
    pub cards: String,
    /// Graph's own `message` object, in place of all others.
    pub json: String,
}

/// The fields to fill in.
pub(crate) fn fields(draft: &Draft) -> Markup {
    let has_more =
        [&draft.quick_replies, &draft.image, &draft.cards, &draft.json].iter().any(|field| !field.is_empty());
    html! {
        label { (text::TEXT) textarea name="text" rows="3" maxlength="1000" placeholder=(text::TEXT_EXAMPLE) { (draft.text) } }
        details class="more-fields" open[has_more] {
            summary { (text::MORE) }
            label {
                (text::QUICK_REPLIES)
                textarea name="quick_replies" rows="2" placeholder=(text::QUICK_REPLIES_EXAMPLE) { (draft.quick_replies) }
            }
            label { (text::IMAGE) input name="image" type="url" maxlength="2000" placeholder=(text::IMAGE_EXAMPLE) value=(draft.image); }
            label {
                (text::CARDS)
                textarea name="cards" rows="3" placeholder=(text::CARDS_EXAMPLE) { (draft.cards) }
            }
            label { (text::JSON) textarea name="json" rows="3" class="code" spellcheck="false" { (draft.json) } }
        }
    }
}

/// How it looks, as a fragment; or what is wrong with it, each with its place.
pub fn preview(shown: Result<&Value, &[String]>) -> Markup {
    html! {
        div id="preview" class="preview-box" aria-live="polite" {
            p class="caption" { (text::PREVIEW) }
            @match shown {
                Ok(Value::Null) => p class="quiet" { (text::NOTHING_YET) },
                Ok(value) => div class="bubble bot" { (message(value)) },
                Err(faults) => ul class="faults" { @for fault in faults { li { (fault) } } },
            }
        }
    }
}
