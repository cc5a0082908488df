//! Pages of lists: one row more than wanted tells whether there is a next page, and counting stops at a limit.

use crate::query::{literal, rows};
use crate::{Result, Store};
use dmrelay_domain::ids::ConnectionId;
use sea_orm::sea_query::{Asterisk, Expr, Func, Query, SelectStatement, UnionType};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, Order, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select, Value,
};

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C> {
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
    pub fn empty() -> Self {
        Self { items: Vec::new(), total: 0, total_is_exact: true, next: None }
    }

    /// The same page of something else.
    pub fn map<U>(self, each: impl FnMut(&T) -> U) -> Page<U, C> {
        let Self { items, total, total_is_exact, next } = self;
        Page { items: items.iter().map(each).collect(), total, total_is_exact, next }
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

/// The first `limit` rows of these connections after `skip`, in the falling order of these columns. Each connection is
/// asked for itself, so that its index gives the rows in their order and no more of them are read than wanted.
/// `connection` is the column that names a row's connection.
pub(crate) fn of_each<C: ColumnTrait>(
    select: &SelectStatement,
    order: &[C],
    (connections, connection): (&[ConnectionId], impl ColumnTrait),
    (limit, skip): (u64, u64),
) -> SelectStatement {
    let of_one = |id: &ConnectionId| {
        let mut of_one = select.clone();
        of_one.and_where(connection.eq(*id)).limit(limit.saturating_add(skip));
        for column in order {
            of_one.order_by(column.as_column_ref(), Order::Desc);
        }
        Query::select().column(Asterisk).from_subquery(of_one, "of_one").take()
    };
    let both = |mut all: SelectStatement, one| all.union(UnionType::All, one).take();
    let all = connections.iter().map(of_one).reduce(both);
    // Of no connection there is no row.
    let all = all.unwrap_or_else(|| select.clone().and_where(literal(false)).take());
    let mut of_all = Query::select().column(Asterisk).from_subquery(all, "of_all").take();
    for column in order {
        of_all.order_by(("of_all", column.unquoted().to_owned()), Order::Desc);
    }
    of_all.limit(limit).offset(skip).take()
}

impl Store {
    /// How many rows a query has, counted up to a limit.
    pub(crate) async fn count<E: EntityTrait>(&self, select: Select<E>) -> Result<Total> {
        let _permit = self.list_permit().await?;
        count(&self.reader(), select).await
    }

    /// A page of a table whose newest rows have the greatest ids. `select` is the whole list, `id` its column, `id_of`
    /// the same of a row.
    pub(crate) async fn newest<E: EntityTrait, I: Into<Value>>(
        &self,
        select: Select<E>,
        id: E::Column,
        (before, limit, skip): (Option<I>, u64, u64),
        id_of: impl Fn(&E::Model) -> I,
    ) -> Result<Page<E::Model, I>> {
        let total = self.count(select.clone()).await?;
        let page = select
            .apply_if(before, |select, before| select.filter(id.lt(before)))
            .order_by_desc(id)
            .limit(limit.saturating_add(1))
            .offset(skip);
        Ok(Page::of(self.list_all(page).await?, limit, total, id_of))
    }
}

/// How many rows there are, counted up to a limit.
pub(crate) async fn count<E: EntityTrait>(db: &impl ConnectionTrait, select: Select<E>) -> Result<Total> {
    let counted = select.select_only().expr(literal(1)).limit(COUNTED + 1).into_query();
    let count = Func::count(Expr::col(Asterisk));
    let query = Query::select().expr_as(count, "n").from_subquery(counted, "counted").take();
    let counts: Vec<Count> = rows(db, &query).await?;
    let n = counts.first().map_or(0, |row| u64::try_from(row.n).unwrap_or(0));
    Ok(Total { counted: n.min(COUNTED), is_exact: n <= COUNTED })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dmrelay_entity::chat;
    use sea_orm::sea_query::SqliteQueryBuilder;

    #[test]
    fn a_page_has_a_next_one_only_where_more_was_read() {
        let total = Total { counted: 3, is_exact: true };
        let page: Page<i32, i32> = Page::of(vec![3, 2, 1], 2, total, |item| *item);
        assert_eq!((page.items, page.next), (vec![3, 2], Some(2)));
        let page: Page<i32, i32> = Page::of(vec![3, 2], 2, total, |item| *item);
        assert_eq!((page.items, page.next), (vec![3, 2], None));
    }

    #[test]
    fn each_connection_is_asked_for_itself_and_gives_no_more_than_the_page_needs() {
        let select = chat::Entity::find().select_only().column(chat::Column::Id).into_query();
        let ids = [1, 2].map(|n| ConnectionId(uuid::Uuid::from_u128(n)));
        let of = (ids.as_slice(), chat::Column::ConnectionId);
        let query = of_each(&select, &[chat::Column::Id], of, (3, 4));
        let (sql, _) = query.build(SqliteQueryBuilder);
        let one = r#"SELECT * FROM (SELECT "chats"."id" FROM "chats" WHERE "chats"."connection_id" = ? ORDER BY "chats"."id" DESC LIMIT ?) AS "of_one""#;
        let wanted = format!(
            r#"SELECT * FROM ({one} UNION ALL {one}) AS "of_all" ORDER BY "of_all"."id" DESC LIMIT ? OFFSET ?"#
        );
        assert_eq!(sql, wanted);
    }
}
