//! Splits a reply into messages that Graph accepts: at most 1,000 bytes of UTF-8 each (Meta, "Send API").

use unicode_segmentation::UnicodeSegmentation;

/// Maximum length of a message's text, in bytes.
pub const MAX_BYTES: usize = 1_000;

/// Splits at the last paragraph, line, sentence or word that fits, otherwise between graphemes, and never in a link
/// that fits into a message. White space at a cut is dropped; everything else is preserved in order. Text of only
/// white space gives nothing.
pub fn split(text: &str, max: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while rest.len() > max {
        let cut = cut(rest, max);
        let (part, tail) = rest.split_at(cut);
        parts.push(part.trim_end().to_owned());
        rest = tail.trim_start();
    }
    if !rest.is_empty() {
        parts.push(rest.to_owned());
    }
    parts
}

/// Where to cut a text longer than `max`: a position in `1..=max` (or after one character that is longer than
/// that).
fn cut(text: &str, max: usize) -> usize {
    let head = before_link(text, crate::text::truncate(text, max), max);
    // A boundary in the first half would leave a fragment; a later boundary of a lesser kind reads better.
    let late = |position: &usize| *position >= head.len() / 2;
    let paragraph = head.rfind("\n\n").filter(late);
    paragraph
        .or_else(|| head.rfind('\n').filter(late))
        .or_else(|| sentence(head).filter(late))
        .or_else(|| word(text, head))
        .unwrap_or_else(|| grapheme(head, text))
}

/// The head without the link in which it ends, if that fits into a message of its own.
fn before_link<'a>(text: &str, head: &'a str, max: usize) -> &'a str {
    let www = head.rfind("www.").filter(|start| !head[..*start].ends_with("://"));
    let start = head.rfind("http://").max(head.rfind("https://")).max(www);
    let Some(start) = start.filter(|start| *start > 0) else { return head };
    let link = &text[start..];
    let end = start + link.find(char::is_whitespace).unwrap_or(link.len());
    if end > head.len() && end - start <= max { &head[..start] } else { head }
}

/// After the last end of a sentence in `head`. A `?` or a dot within a word ends none.
fn sentence(head: &str) -> Option<usize> {
    let is_end = |start: &usize| {
        let before = head[..*start].chars().next_back();
        before.is_some_and(|c| !c.is_ascii() || c.is_ascii_whitespace())
    };
    head.split_sentence_bound_indices().map(|(start, _)| start).filter(is_end).last()
}

/// At the last white space in `head`, or at its end if a word ends exactly there.
fn word(text: &str, head: &str) -> Option<usize> {
    if text[head.len()..].starts_with(char::is_whitespace) {
        return Some(head.len());
    }
    head.rfind(char::is_whitespace).filter(|position| *position > 0)
}

/// After the last grapheme that fits; after the last character, if a single grapheme is too long.
fn grapheme(head: &str, text: &str) -> usize {
    let mut end = 0;
    for (start, grapheme) in text.grapheme_indices(true) {
        if start + grapheme.len() > head.len() {
            break;
        }
        end = start + grapheme.len();
    }
    if end > 0 {
        return end;
    }
    if head.is_empty() { text.chars().next().map_or(0, char::len_utf8) } else { head.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_text_is_one_message() {
        assert_eq!(split("Hello", 1_000), ["Hello"]);
        assert_eq!(split(" \n ", 1_000), Vec::<String>::new());
        assert_eq!(split(&"a".repeat(1_000), 1_000).len(), 1);
        assert_eq!(split(&"a".repeat(1_001), 1_000).len(), 2);
    }

    #[test]
    fn bytes_count_not_characters() {
        assert_eq!(split(&"ä".repeat(501), 1_000).iter().map(String::len).collect::<Vec<_>>(), [1_000, 2]);
    }

    #[test]
    fn the_best_boundary_wins() {
        assert_eq!(split("One two.\n\nThree four five", 16), ["One two.", "Three four five"]);
        assert_eq!(split("One two. Three four five", 16), ["One two.", "Three four five"]);
        assert_eq!(split("alpha beta gamma", 11), ["alpha beta", "gamma"]);
        assert_eq!(split("abcdefghij", 4), ["abcd", "efgh", "ij"]);
    }

    #[test]
    fn a_grapheme_is_not_split() {
        let family = "👨‍👩‍👧‍👦";
        assert_eq!(split(&family.repeat(2), family.len() + 3), [family, family]);
    }

    #[test]
    fn a_link_is_not_split() {
        let link = "https://shop.example/p?id=1&ref=abc.def#x";
        let text = format!("{} {link} and so on", "word ".repeat(8));
        let parts = split(&text, 60);
        assert_eq!(parts[1], format!("{link} and so on"));
        let parts = split(&format!("{}{link}", "看".repeat(15)), 60);
        assert_eq!(parts, ["看".repeat(15), link.to_owned()]);
        let www = "https://www.shop.example/p?id=1&ref=abc";
        assert_eq!(split(&format!("{}{www}", "看".repeat(15)), 60)[1], www);
        assert_eq!(split("See shop.example/p?id=1&x=2 now", 27), ["See shop.example/p?id=1&x=2", "now"]);
        assert_eq!(split("See shop.example/p?id=1&x=2 now", 24), ["See", "shop.example/p?id=1&x=2", "now"]);
    }

    proptest! {
        #[test]
        fn every_link_that_fits_stays_whole(
            words in proptest::collection::vec("[a-z?!.,看]{1,9}|https://[a-z]{1,6}\\.example/[a-z0-9?&=#.!/_-]{0,20}", 1..30),
            separator in "[ \n]", max in 45..90usize,
        ) {
            let text = words.join(&separator);
            let parts = split(&text, max);
            for link in words.iter().filter(|word| word.starts_with("https://")) {
                prop_assert!(parts.iter().any(|part| part.contains(link)), "{link} in {parts:?}");
            }
        }

        #[test]
        fn nothing_but_white_space_is_lost(text in "(\\PC|[ \n.!?äé👋🏽\u{301}]){0,400}", max in 4..60usize) {
            let parts = split(&text, max);
            for part in &parts {
                prop_assert!(!part.is_empty() && part.len() <= max);
            }
            let squeeze = |s: &str| s.split_whitespace().collect::<String>();
            prop_assert_eq!(squeeze(&parts.concat()), squeeze(&text));
        }
    }
}
