//! Text from outside, made storable in one place.

use std::borrow::Cow;

/// Without U+0000, which PostgreSQL cannot store in TEXT.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "")) } else { Cow::Borrowed(text) }
}

/// At most `max` bytes, cut at a character's boundary.
pub fn truncate(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Whether two texts are the same message: what differs is only white space at the ends and between words,
/// which services on the way may fold.
pub fn same_text(a: &str, b: &str) -> bool {
    a.split_whitespace().eq(b.split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_removed_and_the_rest_kept() {
        assert_eq!(clean("a\0b"), "ab");
        assert!(matches!(clean("ab"), Cow::Borrowed("ab")));
    }

    #[test]
    fn truncation_keeps_characters_whole() {
        assert_eq!(truncate("äöü", 3), "ä");
        assert_eq!(truncate("abc", 3), "abc");
    }

    #[test]
    fn folded_white_space_is_the_same_text() {
        assert!(same_text(" a  b\n", "a b"));
        assert!(!same_text("a b", "ab"));
    }
}
