//! Output of the commands on standard output: columns for humans, or JSON for programs.

use serde::Serialize;
use std::fmt;
use std::io::{self, Write};

/// Shown for a missing value.
pub(super) const NOTHING: &str = "-";

/// Prints a line. A closed pipe (`| head`) is not an error.
pub(super) fn print(text: impl fmt::Display) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(err) if err.kind() != io::ErrorKind::BrokenPipe => Err(err),
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(print(serde_json::to_string_pretty(value)?)?)
}

/// Notes below a list that there may be more rows.
pub(super) fn print_if_cut(shown: usize, limit: u64) -> io::Result<()> {
    if (shown as u64) < limit {
        return Ok(());
    }
    print(format!("these are the newest {limit}; --limit shows more"))
}

/// A view with its subaccount.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfSubaccount<'a, T> {
    subaccount_id: &'a str,
    #[serde(flatten)]
    view: T,
}

impl<'a, T> OfSubaccount<'a, T> {
    pub(super) fn new(subaccount_id: &'a str, view: T) -> Self {
        Self { subaccount_id, view }
    }
}

/// Rows in aligned columns, without lines between them: for people, and for `grep` and `awk`.
pub(super) struct Table {
    table: comfy_table::Table,
}

impl Table {
    pub(super) fn new(header: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING).set_header(header);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self { table }
    }

    /// Adds a row with as many cells as the header. Cells cannot contain terminal control sequences.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let shown = |cell: String| if cell.is_empty() { NOTHING.to_owned() } else { harmless(&cell) };
        self.table.add_row(cells.into_iter().map(shown));
    }

    /// Prints the table, or `none` if it has no rows.
    pub(super) fn print(&self, none: &str) -> io::Result<()> {
        if self.table.is_empty() { print(none) } else { print(self) }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table.trim_fmt())
    }
}

/// Removes control characters and characters that change the writing direction, so that a text cannot control
/// the terminal.
pub(super) fn harmless(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if obeyed(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// The value, or a placeholder.
pub(super) fn or_nothing(text: Option<impl ToString>) -> String {
    text.map_or_else(|| NOTHING.to_owned(), |text| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["ID", "NAME"]);
        table.row(["1".to_owned(), "ä".to_owned()]);
        table.row(["100".to_owned(), String::new()]);
        assert_eq!(table.to_string(), "ID   NAME\n1    ä\n100  -");
    }

    #[test]
    fn output_cannot_control_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\n\u{202e}"), "a\\u{1b}[2Jb\\n\\u{202e}");
        assert_eq!(harmless("größer 👍"), "größer 👍");
    }
}
