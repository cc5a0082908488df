//! Agents write Markdown, and Instagram shows it as it is written: `**bold**`, `### heading`. Turns it into plain text, and
//! leaves alone what only looks like it: `2*3*4`, `snake_case`, prices, hashtags, names, addresses.
//!
//! Not a Markdown parser: CommonMark takes `2*3*4` for emphasis, and people write such things.

use crate::text::truncate;
use std::iter::Peekable;
use std::str::Lines;

/// A text without its Markdown.
pub fn plain(text: &str) -> String {
    let mut lines = text.lines().peekable();
    let mut written: Vec<String> = Vec::new();
    let mut fence: Option<&str> = None;
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        match fence {
            Some(open) if trimmed.starts_with(open) => fence = None,
            Some(_) => written.push(line.to_owned()),
            None => {
                fence = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
                if fence.is_none() {
                    let rows = table(line, &mut lines);
                    written.extend(rows.unwrap_or_else(|| vec![plain_line(line)]));
                }
            }
        }
    }
    written.join("\n")
}

fn plain_line(line: &str) -> String {
    let indent = &line[..line.len() - line.trim_start().len()];
    let mut rest = line.trim_start();
    if is_rule(rest) {
        return String::new();
    }
    while let Some(quoted) = rest.strip_prefix("> ") {
        rest = quoted.trim_start();
    }
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    if (1..=6).contains(&hashes) && rest[hashes..].starts_with(' ') {
        let heading = rest[hashes..].trim();
        let heading = heading.trim_end_matches('#').trim_end();
        return format!("{indent}{}", inline(heading));
    }
    let bullet = rest.strip_prefix("* ").map(|item| ("- ", item.trim_start()));
    let (bullet, rest) = bullet.unwrap_or(("", rest));
    format!("{indent}{bullet}{}", inline(rest))
}

/// `---`, `* * *`: a line across the page.
fn is_rule(line: &str) -> bool {
    let marks: String = line.split_whitespace().collect();
    marks.len() >= 3 && ['-', '*', '_'].iter().any(|mark| marks.chars().all(|c| c == *mark))
}

/// The rows of a table that begins with this line, each with the names of its columns.
fn table(head: &str, lines: &mut Peekable<Lines<'_>>) -> Option<Vec<String>> {
    let names = cells(head)?;
    let is_border = |line: &str| {
        let border = |cell: &String| cell.contains('-') && cell.chars().all(|c| matches!(c, '-' | ':'));
        cells(line).is_some_and(|cells| cells.len() == names.len() && cells.iter().all(border))
    };
    lines.next_if(|line| is_border(line))?;
    let mut rows = Vec::new();
    while let Some(cells) = lines.peek().and_then(|line| cells(line)) {
        lines.next();
        let of_column = |(name, cell): (&String, &String)| {
            if name.is_empty() { inline(cell) } else { format!("{}: {}", inline(name), inline(cell)) }
        };
        let row: Vec<String> =
            names.iter().zip(&cells).filter(|(_, cell)| !cell.is_empty()).map(of_column).collect();
        rows.push(row.join(", "));
    }
    Some(rows)
}

fn cells(line: &str) -> Option<Vec<String>> {
    let row = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(row.split('|').map(|cell| cell.trim().to_owned()).collect())
}

/// Nothing that is marked is longer, in bytes: what begins and never ends must not be looked for in all that follows.
const MARKED_MAX: usize = 2_000;

/// The marks around a part of a line, longest first.
const MARKS: [&str; 7] = ["***", "**", "__", "~~", "*", "_", "`"];

fn inline(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let before = text[..text.len() - rest.len()].chars().next_back();
        let begins_word = before.is_none_or(|c| !c.is_alphanumeric() && c != '\\');
        if let Some(word) = verbatim(rest).filter(|_| begins_word) {
            plain.push_str(word);
            rest = &rest[word.len()..];
        } else if let Some((label, address, after)) = link(rest) {
            let label = inline(label);
            if !label.is_empty() && label != address {
                plain.extend([label.as_str(), ": "]);
            }
            plain.push_str(address);
            rest = after;
        } else if let Some((address, after)) = bracketed(rest) {
            plain.push_str(address);
            rest = after;
        } else if let Some((inner, mark, after)) = marked(rest).filter(|_| begins_word) {
            plain.push_str(&if mark == "`" { inner.to_owned() } else { inline(inner) });
            rest = after;
        } else {
            // A run of marks that begins nothing is not looked into: `**` is not two `*`.
            let run = rest.len() - rest.trim_start_matches(c).len();
            let length = if MARKS.iter().any(|mark| mark.starts_with(c)) { run } else { c.len_utf8() };
            plain.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    plain
}

/// An address, a name or a hashtag that a text begins with: none of its characters marks anything.
fn verbatim(text: &str) -> Option<&str> {
    if !is_address(text) && !text.starts_with(['@', '#']) {
        return None;
    }
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '`'));
    // A mark may end behind it.
    let word = text[..end.unwrap_or(text.len())].trim_end_matches('*');
    (word.len() > 1).then_some(word)
}

/// `<address>`.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('<').filter(|inside| is_address(inside))?;
    let length = truncate(inside, MARKED_MAX).find('>')?;
    Some((&inside[..length], &inside[length + 1..]))
}

fn is_address(text: &str) -> bool {
    ["http://", "https://", "www.", "mailto:"].iter().any(|start| text.starts_with(start))
}

/// `[label](address)` or `![label](address)`.
fn link(text: &str) -> Option<(&str, &str, &str)> {
    let inside = text.strip_prefix('!').unwrap_or(text).strip_prefix('[')?;
    let length = truncate(inside, MARKED_MAX).find("](")?;
    let (label, rest) = (&inside[..length], &inside[length + 2..]);
    let mut depth = 0;
    let end = truncate(rest, MARKED_MAX).find(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth < 0
    })?;
    // A title may stand behind the address.
    let address = rest[..end].split_whitespace().next()?;
    let is_whole = !label.contains(['[', '\n']) && is_address(address);
    is_whole.then(|| (label.trim(), address, &rest[end + 1..]))
}

/// What stands between two marks, of which the text begins with the first: close to what they mark, and not inside of
/// words.
fn marked(text: &str) -> Option<(&str, &'static str, &str)> {
    let mark = MARKS.into_iter().find(|mark| text.starts_with(mark))?;
    let kind = mark.chars().next()?;
    let inside = &text[mark.len()..];
    if inside.starts_with(|c: char| c.is_whitespace() || c == kind) {
        return None;
    }
    let ends = truncate(inside, MARKED_MAX).match_indices(mark).map(|(at, _)| at).find(|at| {
        let (inner, after) = (&inside[..*at], &inside[at + mark.len()..]);
        let is_close = !inner.is_empty() && !inner.ends_with(|c: char| c.is_whitespace() || c == '\\');
        is_close && !inner.ends_with(kind) && !after.starts_with(|c: char| c.is_alphanumeric() || c == kind)
    })?;
    Some((&inside[..ends], mark, &inside[ends + mark.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn markdown_becomes_plain_text() {
        for (markdown, text) in [
            ("**Yes**, we do.", "Yes, we do."),
            ("It is *really* __very__ ~~cheap~~ `free`.", "It is really very cheap free."),
            ("***Wow*** and **a *nested* one**", "Wow and a nested one"),
            ("### Opening hours ###\nMon-Fri", "Opening hours\nMon-Fri"),
            (
                "See [our page](https://shop.example/a_b?c=1_2).",
                "See our page: https://shop.example/a_b?c=1_2.",
            ),
            ("[https://a.example](https://a.example)", "https://a.example"),
            ("![A shoe](https://a.example/x_(1).png \"Shoe\")!", "A shoe: https://a.example/x_(1).png!"),
            ("<https://a.example/>", "https://a.example/"),
            ("**https://a.example/_x_** and **#sale**", "https://a.example/_x_ and #sale"),
            ("[**Shop**](https://a.example)", "Shop: https://a.example"),
            ("* one\n* **two**\n  * three", "- one\n- two\n  - three"),
            ("- one\n1. two\n+ three", "- one\n1. two\n+ three"),
            ("> quoted *text*", "quoted text"),
            ("a\n\n---\n\nb", "a\n\n\n\nb"),
            ("```json\n{\"a_b\": **1**}\n```\nend", "{\"a_b\": **1**}\nend"),
            ("| Size | Price |\n|:-----|------:|\n| S | **5 €** |\n| M | |", "Size: S, Price: 5 €\nSize: M"),
        ] {
            assert_eq!(plain(markdown), text);
        }
    }

    #[test]
    fn what_only_looks_like_markdown_stays() {
        for text in [
            "2*3*4 = 24 and 2**3**2 = 512",
            "5 * 3 * 2",
            "snake_case_name, a__b__c",
            "Price* from 10 €* (*plus shipping)",
            "#sale #_new_ @some_name_ @_x_",
            "https://a.example/some_page_*_x?a=_b_ www.b.example/_c_",
            "Room #5, 3 > 2, a | b, <3, ¯\\_(ツ)_/¯, \\*not\\*",
            "[1] and [see below] (really)",
            "** not bold ** and * neither *",
            "*",
            "_",
            "100 % -- sure",
        ] {
            let wanted =
                if text.contains("__init__") { text.replace("__init__", "init") } else { text.to_owned() };
            assert_eq!(plain(text), wanted);
        }
    }

    proptest! {
        #[test]
        fn text_without_marks_stays_as_it_is(text in "[a-zA-Z0-9äé €.,:;!?@/+=%&'\"()-]{0,80}(\n[a-zA-Z ]{1,20}){0,3}") {
            prop_assume!(!text.lines().any(is_rule));
            prop_assert_eq!(plain(&text), text.lines().collect::<Vec<_>>().join("\n"));
        }

        #[test]
        fn any_text_is_read_to_its_end(text in "([*_`#\\[\\]()<>|~! \n\\\\-]|[a-c]|https://x|\\PC){0,60}") {
            let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).count();
            prop_assert!(letters(&plain(&text)) <= 2 * letters(&text));
        }
    }
}
