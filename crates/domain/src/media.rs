//! What customers send besides text, as far as it is kept: photos, videos, voice messages, files. Not stories, what can be viewed once, or
//! posts of others: they are shown by their links (Meta's platform terms; the copyright is not the customer's).

use crate::event::Attachment;
use crate::ids::MediaId;
use crate::states::words;
use crate::text::truncate;

words!(
    /// How far the copy of a medium is.
    MediaState {
        /// It is to be fetched, perhaps again.
        Pending = "pending",
        /// It is in the store.
        Stored = "stored",
        /// Its link expired, or Meta deleted it, before it was fetched.
        Expired = "expired",
        /// It was given up.
        Failed = "failed",
        /// It is to be deleted from the store.
        Gone = "gone",
    }
);

/// Which media are put into words, since agents read text only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Understands {
    /// Voice messages.
    pub audio: bool,
    /// Pictures.
    pub images: bool,
}

impl Understands {
    /// Whether attachments of this kind, in Meta's words, are put into words.
    pub fn covers(self, kind: &str) -> bool {
        match kind {
            "audio" => self.audio,
            "image" => self.images,
            _ => false,
        }
    }
}

/// Maximum length of the words for a medium, in bytes.
pub const WORDS_BYTES_MAX: usize = 8_000;

/// A medium that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub id: MediaId,
    /// Which attachment of the message it is, from 0.
    pub position: i32,
    /// Meta's word for it.
    pub kind: String,
    /// Where Meta has it, for a while.
    pub url: String,
}

/// Whether attachments of this kind are kept.
fn is_kept(kind: &str) -> bool {
    matches!(kind, "image" | "video" | "audio" | "file" | "media" | "sticker")
}

/// Gives ids to those attachments of a message that are kept. `None` if there are none: the JSON stays as it is.
pub(crate) fn named(attachments: &str) -> Option<String> {
    let mut all: Vec<Attachment> = serde_json::from_str(attachments).ok()?;
    let mut kept = all.iter_mut().filter(|one| is_kept(&one.kind) && one.url.is_some()).peekable();
    kept.peek()?;
    for one in kept {
        one.media.get_or_insert_with(MediaId::new);
    }
    serde_json::to_string(&all).ok()
}

/// Whether one of the attachments of a message is still to be put into words.
pub(crate) fn awaits_words(attachments: &str, understands: Understands) -> bool {
    let all: Vec<Attachment> = serde_json::from_str(attachments).unwrap_or_default();
    all.iter().any(|one| one.media.is_some() && one.words.is_none() && understands.covers(&one.kind))
}

/// The attachments of a message, one of them with the words for it. `None` if there is no such attachment, or it has them.
pub(crate) fn with_words(attachments: &str, media: MediaId, words: &str) -> Option<String> {
    let mut all: Vec<Attachment> = serde_json::from_str(attachments).ok()?;
    let one = all.iter_mut().find(|one| one.media == Some(media))?;
    if one.words.as_deref().is_some_and(|known| !known.is_empty() || words.is_empty()) {
        return None;
    }
    one.words = Some(truncate(words, WORDS_BYTES_MAX).to_owned());
    serde_json::to_string(&all).ok()
}

/// The media that the attachments of a message name.
pub(crate) fn kept(attachments: &str) -> Vec<Kept> {
    let all: Vec<Attachment> = serde_json::from_str(attachments).unwrap_or_default();
    let kept = |(position, one): (usize, Attachment)| {
        let position = i32::try_from(position).ok()?;
        Some(Kept { id: one.media?, position, kind: one.kind, url: one.url? })
    };
    all.into_iter().enumerate().filter_map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_are_kept_and_stories_are_not() {
        let attachments = r#"[{"type":"image","url":"https://a/1"},{"type":"story_mention","url":"https://a/2"},
            {"type":"ephemeral"},{"type":"ig_post","url":"https://a/3"},{"type":"audio","url":"https://a/4"},{"type":"file"}]"#;
        let text = named(attachments).unwrap();
        let kept = kept(&text);
        let told: Vec<_> =
            kept.iter().map(|one| (one.position, one.kind.as_str(), one.url.as_str())).collect();
        assert_eq!(told, [(0, "image", "https://a/1"), (4, "audio", "https://a/4")]);
        assert_ne!(kept[0].id, kept[1].id);
        // They keep their ids.
        assert_eq!(named(&text).as_deref(), Some(text.as_str()));
        assert_eq!(named(r#"[{"type":"share","url":"https://a/1"}]"#), None);
        assert!(super::kept(attachments).is_empty() && super::kept("[]").is_empty());
    }
}
