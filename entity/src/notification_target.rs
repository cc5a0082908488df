//! Somebody who is notified of incidents.

use crate::Word;
use dmrelay_domain::ids::NotificationTargetId;
use dmrelay_domain::notification::{Channel, IncidentKind};
use sea_orm::entity::prelude::*;

/// One row of `notification_targets`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notification_targets")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: NotificationTargetId,
    /// The tenant; empty for the operator of the installation, who is told of everything.
    pub subaccount_id: String,
    /// How it is notified.
    pub channel: Word<Channel>,
    /// The URL or the e-mail address.
    pub address: String,
    /// What people call it.
    pub name: Option<String>,
    /// The secret that signs webhooks, encrypted.
    pub secret: Option<Vec<u8>>,
    /// The secret before it, encrypted.
    pub former_secret: Option<Vec<u8>>,
    /// Until when the former secret signs as well, in milliseconds.
    pub former_until: Option<i64>,
    /// What it is told of: words between commas, with one before the first and after the last. Empty for everything.
    pub kinds: String,
    /// Whether it is told when an incident is over.
    pub resolved: bool,
    /// Whether it is notified at all.
    pub enabled: bool,
    /// Why it was disabled, if dmrelay did.
    pub disabled_reason: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When the row was made, in milliseconds.
    pub created_at: i64,
    /// When it was last changed, in milliseconds.
    pub updated_at: i64,
}

impl Model {
    /// What it is told of; `None` for everything. Words of later versions are left out.
    pub fn kinds(&self) -> Option<Vec<IncidentKind>> {
        if self.kinds.is_empty() {
            return None;
        }
        Some(self.kinds.split(',').filter_map(IncidentKind::parse).collect())
    }

    /// The stored form of what a target is told of: everything, if there are no kinds.
    pub fn kinds_text(kinds: Option<&[IncidentKind]>) -> String {
        let kinds = kinds.unwrap_or_default();
        if kinds.is_empty() {
            return String::new();
        }
        let words: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        format!(",{},", words.join(","))
    }
}

/// How its rows are joined with others. The database checks no foreign keys.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// What it was told.
    #[sea_orm(has_many = "super::notification::Entity")]
    Notifications,
}

related! {
    super::notification::Entity => Notifications,
}

impl ActiveModelBehavior for ActiveModel {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_back_as_they_are_stored() {
        let target = |kinds: &str| Model {
            id: NotificationTargetId::new(),
            subaccount_id: String::new(),
            channel: Channel::Email.into(),
            address: String::new(),
            name: None,
            secret: None,
            former_secret: None,
            former_until: None,
            kinds: kinds.to_owned(),
            resolved: true,
            enabled: true,
            disabled_reason: None,
            created_by: String::new(),
            created_at: 0,
            updated_at: 0,
        };
        let kinds = [IncidentKind::Silence, IncidentKind::DeadLetters];
        assert_eq!(target(&Model::kinds_text(Some(&kinds))).kinds(), Some(kinds.to_vec()));
        assert_eq!(target(&Model::kinds_text(None)).kinds(), None);
        assert_eq!(target(",silence,of_a_later_version,").kinds(), Some(vec![IncidentKind::Silence]));
    }
}
