//! Sealed values, wherever they are stored: how many each key has sealed, which of them another key is to seal,
//! and the exchange of one for the other. Nothing is opened here.

use crate::{Result, Store};
use sea_orm::sea_query::{Asterisk, BinOper, Expr, ExprTrait, Func, Query, UnionType};
use sea_orm::{ConnectionTrait, FromQueryResult, Order};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A column that holds sealed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedColumn {
    /// Its table.
    pub table: &'static str,
    /// Its name.
    pub column: &'static str,
}

/// Every column that holds sealed values, each sealed for its table, column and row. What the vault seals and is
/// not named here is lost with its key.
pub const SEALED: [SealedColumn; 11] = [
    SealedColumn { table: "instagram_connections", column: "access_token" },
    SealedColumn { table: "instagram_connections", column: "token_proof" },
    SealedColumn { table: "instagram_connections", column: "verify_token" },
    SealedColumn { table: "instagram_connections", column: "app_secret" },
    SealedColumn { table: "idempotency_keys", column: "response" },
    SealedColumn { table: "provider_keys", column: "key" },
    SealedColumn { table: "meta_apps", column: "app_secret" },
    SealedColumn { table: "meta_apps", column: "verify_token" },
    SealedColumn { table: "connect_sessions", column: "pages" },
    SealedColumn { table: "notification_targets", column: "secret" },
    SealedColumn { table: "notification_targets", column: "former_secret" },
];

/// What counts as the key of a value that names none; no key is called so.
pub const NO_KEY: &str = "?";

/// A sealed value and its row.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Sealed {
    /// The row.
    pub id: Uuid,
    /// The value, as it is stored.
    pub value: Vec<u8>,
}

#[derive(FromQueryResult)]
struct Count {
    key_id: Option<Vec<u8>>,
    n: i64,
}

impl Store {
    /// How many values each key has sealed, by the key's id; [`NO_KEY`] for what is no sealed value. One statement,
    /// which reads no more of a value than its first bytes.
    pub async fn sealed_counts(&self) -> Result<Vec<(String, i64)>> {
        let keys = SEALED.iter().map(|SealedColumn { table, column }| {
            Query::select()
                .expr_as(Expr::cust(self.dialect.key_id(column)), "key_id")
                .from(*table)
                .and_where(Expr::col(*column).is_not_null())
                .take()
        });
        let all = keys.reduce(|mut all, keys| all.union(UnionType::All, keys).take()).unwrap_or_default();
        let query = Query::select()
            .column("key_id")
            .expr_as(Func::count(Expr::col(Asterisk)), "n")
            .from_subquery(all, "sealed")
            .group_by_col("key_id")
            .take();
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for row in self.list_rows::<Count>(&query).await? {
            *counts.entry(named(row.key_id)).or_default() += row.n;
        }
        Ok(counts.into_iter().collect())
    }

    /// Values of a column that another key than this one has sealed, in the order of their rows, after one of them.
    pub async fn sealed_with_another(
        &self,
        column: SealedColumn,
        key: &str,
        after: Uuid,
        most: u64,
    ) -> Result<Vec<Sealed>> {
        let SealedColumn { table, column } = column;
        let sealed_with = Expr::cust(self.dialect.key_id(column));
        let query = Query::select()
            .column("id")
            .expr_as(Expr::col(column), "value")
            .from(table)
            .and_where(Expr::col("id").gt(after))
            .and_where(Expr::col(column).is_not_null())
            .and_where(sealed_with.binary(BinOper::Custom("IS DISTINCT FROM"), key.as_bytes().to_vec()))
            .order_by("id", Order::Asc)
            .limit(most)
            .take();
        self.list_rows(&query).await
    }

    /// Puts another value in the place of this one. False where it is not there any more: whoever wrote meanwhile
    /// counts more. The credentials stay the same ones, so their version does, and a renewal that is under way
    /// goes on.
    pub async fn reseal(&self, column: SealedColumn, was: &Sealed, value: Vec<u8>) -> Result<bool> {
        let SealedColumn { table, column } = column;
        let reseal = Query::update()
            .table(table)
            .value(column, value)
            .and_where(Expr::col("id").eq(was.id))
            .and_where(Expr::col(column).eq(was.value.clone()))
            .take();
        Ok(self.writer().execute(&reseal).await?.rows_affected() == 1)
    }
}

/// A key's id as text; ids are words.
fn named(id: Option<Vec<u8>>) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let id = id.and_then(|id| String::from_utf8(id).ok());
    id.filter(|id| !id.is_empty() && id.chars().all(word)).unwrap_or_else(|| NO_KEY.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_are_ids_of_keys() {
        assert_eq!(named(Some(b"k-1_a".to_vec())), "k-1_a");
        for odd in [None, Some(Vec::new()), Some(b"k 1".to_vec()), Some(vec![0xff])] {
            assert_eq!(named(odd.clone()), NO_KEY, "{odd:?}");
        }
    }
}
