//! The markup of the pages has no texts of its own.

use std::fs;

/// Attributes that people read or hear.
const READABLE: [&str; 5] = ["alt", "aria-label", "data-confirm", "placeholder", "title"];

#[test]
fn no_text_stands_beside_its_element() {
    let mut looked = 0;
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let markups = source.match_indices("html! {").map(|(at, start)| &source[at + start.len()..]);
        let texts: Vec<&str> = markups.flat_map(texts).collect();
        assert!(texts.is_empty(), "{} has {texts:?}: move them to words", path.display());
        looked += 1;
    }
    assert!(looked > 10, "only {looked} files were found");
}

#[test]
fn texts_are_told_from_other_literals() {
    let some = r#" (a("Ask us")) p class="big wide" title="hint" { "never" } } "after the end""#;
    assert_eq!(texts(some), ["Ask us", "hint", "never"]);
    let code = r#" a href={ (BASE) "/a b" @if c == "or not" { "&then" } } { "·" (d("word")) } }"#;
    assert!(texts(code).is_empty(), "{:?}", texts(code));
    let pattern = r#" @match e { "open" => (f), "not yet" | "no more" => {} } }"#;
    assert!(texts(pattern).is_empty(), "{:?}", texts(pattern));
}

/// The literals that look like English in what follows an opening brace of markup, up to its end.
fn texts(markup: &str) -> Vec<&str> {
    let mut found = Vec::new();
    // For each open brace: whether people read the literals in it.
    let mut readable = vec![true];
    let mut at = 0;
    while let (Some(next), Some(&is_readable)) = (markup[at..].chars().next(), readable.last()) {
        let before = markup[..at].trim_end();
        let is_value = before.ends_with('=');
        let is_readable = if is_value { is_readable_attribute(before) } else { is_readable };
        match next {
            '{' => readable.push(is_readable),
            '}' => drop(readable.pop()),
            '"' => {
                let literal = literal(&markup[at + 1..]);
                let after = markup[at + literal.len() + 2..].trim_start();
                let is_pattern = after.starts_with("=>") || after.starts_with('|');
                let stands_alone =
                    is_value || before.is_empty() || before.ends_with(['{', '}', ';', ')', '"', '>']);
                if is_readable && !is_pattern && is_english(literal, stands_alone) {
                    found.push(literal);
                }
                at += literal.len() + 1;
            }
            _ => {}
        }
        at += next.len_utf8();
    }
    found
}

fn is_readable_attribute(before: &str) -> bool {
    let name = before.trim_end_matches('=').rsplit(|c: char| !c.is_ascii_lowercase() && c != '-').next();
    name.is_some_and(|name| READABLE.contains(&name))
}

/// What stands before the closing quote.
fn literal(rest: &str) -> &str {
    let mut is_escaped = false;
    let end = rest.find(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    &rest[..end.unwrap_or(rest.len())]
}

/// An argument of a call may be a word of the code: there, only what has several words or begins like a
/// sentence counts.
fn is_english(literal: &str, stands_alone: bool) -> bool {
    let has_word = literal.split(|c: char| !c.is_alphabetic()).any(|word| word.len() > 1);
    has_word && (stands_alone || literal.contains(' ') || literal.starts_with(char::is_uppercase))
}
