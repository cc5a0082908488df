//! What the webhooks of an account tell about it as a whole.

use crate::bulk::{Column, Kind, Rows};
use crate::{Result, Store};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::states::AccountSign;
use dmrelay_entity::account_sign::{self, Entity};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

const SIGNS: &[Column] = &[
    Column("account", Kind::Text),
    Column("sign", Kind::Text),
    Column("count", Kind::BigInt),
    Column("detail", Kind::Text),
];

/// After such a pause it counts as something new, in milliseconds.
const PAUSE: Millis = 86_400_000;

/// What was seen of an account since the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSign {
    /// The Instagram account.
    pub account: String,
    /// What was seen.
    pub sign: AccountSign,
    /// How often.
    pub count: i64,
    /// More about the last one.
    pub detail: Option<String>,
}

impl Store {
    /// Adds up what was seen of accounts: each pair of account and sign at most once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record_signs(&self, mut seen: Vec<SeenSign>) -> Result<()> {
        // In one order, so that two processes wait for each other and do not deadlock.
        seen.sort_by(|a, b| (&a.account, a.sign.as_str()).cmp(&(&b.account, b.sign.as_str())));
        let mut rows = Rows::new(SIGNS);
        for one in seen {
            rows.push(vec![
                one.account.into(),
                one.sign.as_str().into(),
                one.count.into(),
                one.detail.into(),
            ]);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let mut values = Vec::new();
        let source = rows.as_table(self.dialect, "u", &mut values);
        let is_new = format!("excluded.last_at - account_signs.last_at > {PAUSE}");
        let sql = format!(
            "INSERT INTO account_signs (account, sign, count, first_at, last_at, detail) \
             SELECT u.account, u.sign, u.count, {{now}}, {{now}}, u.detail FROM {source} WHERE TRUE \
             ON CONFLICT (account, sign) DO UPDATE SET last_at = excluded.last_at, detail = excluded.detail, \
                first_at = CASE WHEN {is_new} THEN excluded.first_at ELSE account_signs.first_at END, \
                count = CASE WHEN {is_new} THEN excluded.count ELSE account_signs.count + excluded.count END"
        );
        self.execute(&sql, values).await?;
        Ok(())
    }

    /// What was seen of an account.
    ///
    /// # Errors
    /// What the database says.
    pub async fn signs(&self, account: &str) -> Result<Vec<account_sign::Model>> {
        let signs = Entity::find().filter(account_sign::Column::Account.eq(account));
        Ok(signs.all(&self.reader()).await?)
    }
}
