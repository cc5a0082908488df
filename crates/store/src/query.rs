//! What statements of SeaORM's query builder need on both databases, and how those that list are run.
//!
//! Words that stand in the condition of a partial index are written as [`literal`]s: with a value in their place,
//! PostgreSQL would not use the index in a plan that it keeps.

use crate::dialect::Dialect;
use crate::{Error, Result, Store, Tx};
use sea_orm::sea_query::extension::postgres::PgExpr;
use sea_orm::sea_query::{
    CaseStatement, Expr, ExprTrait, Func, InsertStatement, LikeExpr, Query, ReturningClause, SelectStatement,
};
use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult, Iterable, Select, Value};

/// A value that is written into the statement.
pub(crate) fn literal(value: impl Into<Value>) -> Expr {
    Expr::Constant(value.into())
}

/// The same, of several.
pub(crate) fn literals<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Vec<Expr> {
    values.into_iter().map(literal).collect()
}

/// How many rows of a query meet the condition.
pub(crate) fn count_if(condition: Expr) -> Expr {
    let one_of_each = CaseStatement::new().case(condition, literal(1)).finally(literal(0));
    Func::coalesce([Func::sum(one_of_each).into(), literal(0)]).into()
}

/// Inserts one row, of which values may be expressions.
pub(crate) fn insert<E: EntityTrait>(row: impl IntoIterator<Item = (E::Column, Expr)>) -> InsertStatement {
    let (columns, values): (Vec<E::Column>, Vec<Expr>) = row.into_iter().unzip();
    // Invariant: each column has a value, so there is no reason to panic.
    Query::insert().into_table(E::default().table_ref()).columns(columns).values_panic(values).take()
}

/// The columns that this version knows. What reads `*` fails once a later version adds one.
pub(crate) fn returning<E: EntityTrait>() -> ReturningClause {
    Query::returning().columns(E::Column::iter())
}

impl Dialect {
    /// The database's clock, in milliseconds.
    pub(crate) fn now(self) -> Expr {
        Expr::cust(self.clock())
    }

    /// The column contains the text, whatever the case of its letters.
    pub(crate) fn contains(self, column: Expr, text: &str) -> Expr {
        let pattern = format!("%{}%", escaped(text));
        match self {
            // A backslash escapes unless something else is said.
            Self::Postgres => column.ilike(pattern),
            Self::Sqlite => column.like(LikeExpr::new(pattern).escape('\\')),
        }
    }
}

/// The text as it stands in a pattern that is escaped by a backslash.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

/// The rows of a query.
pub(crate) async fn rows<T: FromQueryResult>(
    db: &impl ConnectionTrait,
    query: &SelectStatement,
) -> Result<Vec<T>> {
    let rows = db.query_all(query).await?;
    rows.iter().map(|row| T::from_query_result(row, "").map_err(Error::from)).collect()
}

/// The first row of a statement.
pub(crate) async fn first<T: FromQueryResult>(
    db: &impl ConnectionTrait,
    statement: &impl sea_orm::StatementBuilder,
) -> Result<Option<T>> {
    let row = db.query_one(statement).await?;
    Ok(row.map(|row| T::from_query_result(&row, "")).transpose()?)
}

impl Store {
    /// The database's clock, as it stands in a statement.
    pub(crate) fn clock(&self) -> Expr {
        self.dialect.now()
    }

    /// The same, read once for the whole statement, so that an index may serve what is compared with it.
    pub(crate) fn instant(&self) -> Expr {
        Expr::cust(format!("(SELECT {})", self.dialect.clock()))
    }

    /// Lists rows of an entity: see [`Store::list_permit`].
    pub(crate) async fn list_all<E: EntityTrait>(&self, select: Select<E>) -> Result<Vec<E::Model>> {
        let _permit = self.list_permit().await?;
        Ok(select.all(&self.reader()).await?)
    }

    /// Lists what a query reads: see [`Store::list_permit`].
    pub(crate) async fn list_rows<T: FromQueryResult>(&self, query: &SelectStatement) -> Result<Vec<T>> {
        let _permit = self.list_permit().await?;
        rows(&self.reader(), query).await
    }
}

impl Tx {
    /// The database's clock, as it stands in a statement.
    pub(crate) fn clock(&self) -> Expr {
        self.dialect.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sea_orm::sea_query::{PostgresQueryBuilder, SqliteQueryBuilder};

    #[test]
    fn what_means_something_in_a_pattern_is_escaped() {
        assert_eq!(escaped(r"50%_off\"), r"50\%\_off\\");
        let query = |dialect: Dialect| {
            Query::select().expr(dialect.contains(Expr::col("name"), "a%")).from("people").take()
        };
        let (sql, _) = query(Dialect::Postgres).build(PostgresQueryBuilder);
        assert_eq!(sql, r#"SELECT "name" ILIKE $1 FROM "people""#);
        let (sql, _) = query(Dialect::Sqlite).build(SqliteQueryBuilder);
        assert_eq!(sql, r#"SELECT "name" LIKE ? ESCAPE '\' FROM "people""#);
    }

    #[test]
    fn no_value_at_all_is_met_by_no_row() {
        let none = Expr::col("id").is_in(Vec::<i64>::new());
        let query = Query::select().expr(none).from("people").take();
        assert_eq!(query.to_string(PostgresQueryBuilder), r#"SELECT 1 = 2 FROM "people""#);
    }
}
