//! Many rows in one statement of a fixed text, for both databases: `UNNEST` of arrays for PostgreSQL, `VALUES` for
//! SQLite.

use crate::dialect::Dialect;
use sea_orm::Value;
use std::fmt::Write;

/// A column of the rows: its name and its type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column(pub(crate) &'static str, pub(crate) Kind);

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Uuid,
    Text,
    BigInt,
    Int,
    Bool,
    Bytes,
}

impl Kind {
    /// PostgreSQL's name of it.
    fn name(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::BigInt => "bigint",
            Self::Int => "integer",
            Self::Bool => "boolean",
            Self::Bytes => "bytea",
        }
    }
}

/// Rows to be joined with, or written from.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    columns: &'static [Column],
    rows: Vec<Vec<Value>>,
}

impl Rows {
    pub(crate) fn new(columns: &'static [Column]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Rows of one column: one for each of these values.
    pub(crate) fn of_each<V: Into<Value>>(
        columns: &'static [Column],
        values: impl Iterator<Item = V>,
    ) -> Self {
        Self { columns, rows: values.map(|value| vec![value.into()]).collect() }
    }

    /// Adds a row: a value for each column, in their order.
    pub(crate) fn push(&mut self, row: Vec<Value>) {
        debug_assert_eq!(row.len(), self.columns.len(), "{:?}", self.columns);
        self.rows.push(row);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows as a table called `alias`. Their values are added to `values`.
    pub(crate) fn as_table(&self, dialect: Dialect, alias: &str, values: &mut Vec<Value>) -> String {
        match dialect {
            Dialect::Postgres => self.unnest(alias, values),
            Dialect::Sqlite => self.values(alias, values),
        }
    }

    /// An array of each column, as PostgreSQL writes arrays: that form has nulls, and the text of the statement does not
    /// depend on the number of rows, so that its plan is made once.
    fn unnest(&self, alias: &str, values: &mut Vec<Value>) -> String {
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (index, Column(_, kind)) in self.columns.iter().enumerate() {
            let mut text = String::with_capacity(self.rows.len() * 24);
            text.push('{');
            for (number, row) in self.rows.iter().enumerate() {
                if number > 0 {
                    text.push(',');
                }
                literal(&row[index], &mut text);
            }
            text.push('}');
            values.push(text.into());
            arrays.push(format!("${}::{}[]", values.len(), kind.name()));
        }
        let names: Vec<&str> = self.columns.iter().map(|Column(name, _)| *name).collect();
        format!("UNNEST({}) AS {alias} ({})", arrays.join(", "), names.join(", "))
    }

    fn values(&self, alias: &str, values: &mut Vec<Value>) -> String {
        let names = |source: &dyn Fn(usize) -> String| -> String {
            let named = self.columns.iter().enumerate();
            named
                .map(|(index, Column(name, _))| format!("{} AS {name}", source(index)))
                .collect::<Vec<_>>()
                .join(", ")
        };
        if self.rows.is_empty() {
            return format!("(SELECT {} WHERE FALSE) AS {alias}", names(&|_| "NULL".to_owned()));
        }
        let mut list = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let places = row.iter().map(|value| {
                values.push(value.clone());
                format!("${}", values.len())
            });
            let places: Vec<String> = places.collect();
            let comma = if number > 0 { ", " } else { "" };
            let _ = write!(list, "{comma}({})", places.join(", "));
        }
        format!("(SELECT {} FROM (VALUES {list})) AS {alias}", names(&|index| format!("column{}", index + 1)))
    }
}

/// An element of PostgreSQL's text form of an array.
fn literal(value: &Value, out: &mut String) {
    let written = match value {
        Value::Uuid(Some(id)) => write!(out, "{id}"),
        Value::BigInt(Some(number)) => write!(out, "{number}"),
        Value::Int(Some(number)) => write!(out, "{number}"),
        Value::Bool(Some(truth)) => write!(out, "{truth}"),
        Value::Bytes(Some(bytes)) => {
            out.push_str("\"\\\\x");
            for byte in bytes {
                let _ = write!(out, "{byte:02x}");
            }
            out.push('"');
            Ok(())
        }
        Value::String(Some(text)) => {
            out.push('"');
            // PostgreSQL cannot store U+0000.
            for c in text.chars().filter(|c| *c != '\0') {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push('"');
            Ok(())
        }
        _ => out.write_str("NULL"),
    };
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] =
        &[Column("id", Kind::BigInt), Column("name", Kind::Text), Column("raw", Kind::Bytes)];

    fn rows() -> Rows {
        let mut rows = Rows::new(COLUMNS);
        rows.push(vec![1_i64.into(), "a\"b\\c, {d}\0".into(), vec![0_u8, 255].into()]);
        rows.push(vec![Value::BigInt(None), Value::String(None), Value::Bytes(None)]);
        rows
    }

    #[test]
    fn arrays_are_written_with_their_nulls() {
        let mut values = vec![7_i64.into()];
        let table = rows().as_table(Dialect::Postgres, "u", &mut values);
        assert_eq!(table, "UNNEST($2::bigint[], $3::text[], $4::bytea[]) AS u (id, name, raw)");
        let texts: Vec<_> = values[1..].iter().map(|value| format!("{value:?}")).collect();
        assert!(texts[0].contains("{1,NULL}"), "{texts:?}");
        assert_eq!(values[2], Value::from(r#"{"a\"b\\c, {d}",NULL}"#));
        assert_eq!(values[3], Value::from(r#"{"\\x00ff",NULL}"#));
    }

    #[test]
    fn the_statement_for_no_rows_is_that_for_many() {
        let (mut none, mut two) = (Vec::new(), Vec::new());
        let empty = Rows::new(COLUMNS).as_table(Dialect::Postgres, "u", &mut none);
        assert_eq!(empty, rows().as_table(Dialect::Postgres, "u", &mut two));
        let sqlite = rows().as_table(Dialect::Sqlite, "u", &mut Vec::new());
        assert!(sqlite.ends_with("(VALUES ($1, $2, $3), ($4, $5, $6))) AS u"), "{sqlite}");
    }
}
