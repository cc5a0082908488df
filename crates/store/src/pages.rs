//! Pages of lists: what is asked is put together as conditions, one row more than wanted tells whether
//! there is a next page, and counting stops at a limit.

use crate::{Result, Store};
use dmrelay_domain::ids::ConnectionId;
use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C = Uuid> {
    /// What is on it.
    pub items: Vec<T>,
    /// How many there are on all pages, counted up to a limit.
    pub total: u64,
    /// Whether the counting came to its end.
    pub total_is_exact: bool,
    /// Where the next page begins, if there may be one.
    pub next: Option<C>,
}

/// Counting stops here.
pub(crate) const COUNTED: u64 = 1_000;

impl<T, C> Page<T, C> {
    /// Nothing at all.
    pub(crate) fn empty() -> Self {
        Self { items: Vec::new(), total: 0, total_is_exact: true, next: None }
    }

    /// A page of `limit` items, of which one more was read if there are more.
    pub(crate) fn of(mut items: Vec<T>, limit: u64, total: Total, cursor: impl Fn(&T) -> C) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, total: total.counted, total_is_exact: total.is_exact, next }
    }
}

/// How many rows there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Total {
    pub(crate) counted: u64,
    pub(crate) is_exact: bool,
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// Conditions that must all hold, with their values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    all: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// Keeps a value; gives its place in the statement.
    pub(crate) fn place(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// Something that needs no value.
    pub(crate) fn must(&mut self, condition: impl Into<String>) {
        self.all.push(condition.into());
    }

    /// A condition in which `{}` stands for the value, if there is one.
    pub(crate) fn with(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            let place = self.place(value);
            self.must(condition.replace("{}", &place));
        }
    }

    /// The column has one of these values.
    pub(crate) fn any<V: Into<Value>>(&mut self, column: &str, values: impl IntoIterator<Item = V>) {
        let places: Vec<String> = values.into_iter().map(|value| self.place(value)).collect();
        let list = if places.is_empty() { "NULL".to_owned() } else { places.join(", ") };
        self.must(format!("{column} IN ({list})"));
    }

    /// One of the columns contains the text, whatever the case of its letters.
    pub(crate) fn contains(&mut self, columns: &[&str], text: Option<&str>) {
        let Some(text) = text else { return };
        let place = self.place(format!("%{}%", escaped(text)));
        let any: Vec<String> =
            columns.iter().map(|column| format!("{column} {{like}} {place} ESCAPE '\\'")).collect();
        self.must(format!("({})", any.join(" OR ")));
    }

    pub(crate) fn sql(&self) -> String {
        if self.all.is_empty() { "TRUE".to_owned() } else { self.all.join(" AND ") }
    }

    pub(crate) fn values(&self) -> Vec<Value> {
        self.values.clone()
    }
}

/// What to read of a list that lies in the order of an index for each connection.
pub(crate) struct Rows<'a> {
    /// What is read of each row.
    pub(crate) columns: &'a str,
    /// The tables.
    pub(crate) from: &'a str,
    /// The column that names the row's connection.
    pub(crate) connection: &'a str,
    /// The table of the rows, as it is called in `from`.
    pub(crate) table: &'a str,
    /// Its columns that are in order, each falling.
    pub(crate) order: &'a [&'a str],
}

impl Rows<'_> {
    /// The first `limit` rows of these connections after `skip`. Each connection is asked for itself, so that
    /// its index gives the rows in their order and no more of them are read than wanted.
    pub(crate) fn statement(
        &self,
        connections: &[ConnectionId],
        conditions: &Conditions,
        (limit, skip): (u64, u64),
    ) -> (String, Vec<Value>) {
        let mut conditions = conditions.clone();
        let reach = conditions.place(limit.saturating_add(skip));
        let wanted = conditions.sql();
        let Self { columns, from, connection, .. } = self;
        let order = |table: &str| -> String {
            let falling: Vec<String> =
                self.order.iter().map(|column| format!("{table}.{column} DESC")).collect();
            falling.join(", ")
        };
        let (inside, outside) = (order(self.table), order("of_all"));
        let of_each: Vec<String> = connections
            .iter()
            .map(|id| {
                let place = conditions.place(id.0);
                format!(
                    "SELECT * FROM (SELECT {columns} FROM {from} WHERE {connection} = {place} AND {wanted} \
                     ORDER BY {inside} LIMIT {reach}) of_one"
                )
            })
            .collect();
        let (limit, skip) = (conditions.place(limit), conditions.place(skip));
        let sql = format!(
            "SELECT * FROM ({}) of_all ORDER BY {outside} LIMIT {limit} OFFSET {skip}",
            of_each.join(" UNION ALL ")
        );
        (sql, conditions.values())
    }
}

/// `$n, $n+1, …` for a list of ids, and their values.
pub(crate) fn in_list(ids: &[Uuid], first: usize) -> (String, Vec<Value>) {
    let places: Vec<String> = (first..first + ids.len()).map(|n| format!("${n}")).collect();
    let list = if places.is_empty() { "NULL".to_owned() } else { places.join(", ") };
    (list, ids.iter().map(|id| (*id).into()).collect())
}

/// The text as it stands in a pattern that is escaped by a backslash.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

impl Store {
    /// How many rows of these tables meet the conditions, counted up to a limit.
    pub(crate) async fn count(&self, from: &str, conditions: &Conditions) -> Result<Total> {
        let most = COUNTED + 1;
        let sql = format!(
            "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM {from} WHERE {} LIMIT {most}) counted",
            conditions.sql()
        );
        let rows: Vec<Count> = self.list(&sql, conditions.values()).await?;
        let n = rows.first().map_or(0, |row| u64::try_from(row.n).unwrap_or(0));
        Ok(Total { counted: n.min(COUNTED), is_exact: n <= COUNTED })
    }

    /// A page of a table whose newest rows have the greatest ids. `conditions` are those of the whole list.
    pub(crate) async fn newest<T: FromQueryResult>(
        &self,
        table: &str,
        mut conditions: Conditions,
        (before, limit, skip): (Option<Uuid>, u64, u64),
        id: impl Fn(&T) -> Uuid,
    ) -> Result<Page<T>> {
        let total = self.count(table, &conditions).await?;
        conditions.with("id < {}", before);
        let wanted = conditions.sql();
        let (most, skip) = (conditions.place(limit.saturating_add(1)), conditions.place(skip));
        let sql = format!(
            "SELECT {{{table}.*}} FROM {table} WHERE {wanted} ORDER BY id DESC LIMIT {most} OFFSET {skip}"
        );
        let items = self.list(&sql, conditions.values()).await?;
        Ok(Page::of(items, limit, total, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_a_pattern_is_escaped() {
        assert_eq!(escaped(r"50%_off\"), r"50\%\_off\\");
    }

    #[test]
    fn a_page_has_a_next_one_only_where_more_was_read() {
        let total = Total { counted: 3, is_exact: true };
        let page: Page<i32, i32> = Page::of(vec![3, 2, 1], 2, total, |item| *item);
        assert_eq!((page.items, page.next), (vec![3, 2], Some(2)));
        let page: Page<i32, i32> = Page::of(vec![3, 2], 2, total, |item| *item);
        assert_eq!((page.items, page.next), (vec![3, 2], None));
    }

    #[test]
    fn no_value_at_all_is_met_by_no_row() {
        let mut conditions = Conditions::default();
        conditions.any("id", Vec::<Uuid>::new());
        conditions.with("x = {}", None::<i64>);
        conditions.with("y = {}", Some(7_i64));
        assert_eq!(conditions.sql(), "id IN (NULL) AND y = $1");
    }
}
