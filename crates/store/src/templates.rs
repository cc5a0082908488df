//! Saved messages of a subaccount, each with what its versions said.

use crate::{Activity, ActivityKind, Result, Store, Tx};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{SubaccountId, TemplateId};
use dmrelay_entity::template::{ActiveModel, Column, Entity, Model};
use dmrelay_entity::template_version;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
};

/// What became of saving a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavedTemplate {
    /// It is saved.
    Now(Box<Model>),
    /// The subaccount has as many as it may have.
    TooMany,
    /// Another one of the subaccount has the name.
    NameTaken,
    /// The subaccount has no template of this id.
    Missing,
    /// Somebody has written this version meanwhile.
    Outdated(i32),
}

/// What a template is to be.
#[derive(Debug, Clone)]
pub struct NewTemplate {
    /// Its name.
    pub name: String,
    /// Its message, as JSON.
    pub message: String,
}

impl Store {
    /// The templates of a subaccount, by name.
    ///
    /// # Errors
    /// What the database says.
    pub async fn templates(&self, subaccount: &SubaccountId) -> Result<Vec<Model>> {
        let all =
            Entity::find().filter(Column::SubaccountId.eq(subaccount.as_str())).order_by_asc(Column::Name);
        Ok(all.all(&self.reader()).await?)
    }

    /// A template of a subaccount.
    ///
    /// # Errors
    /// What the database says.
    pub async fn template(&self, subaccount: &SubaccountId, id: TemplateId) -> Result<Option<Model>> {
        let one = Entity::find_by_id(id).filter(Column::SubaccountId.eq(subaccount.as_str()));
        Ok(one.one(&self.writer()).await?)
    }

    /// The versions of a template, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn template_versions(&self, id: TemplateId, most: u64) -> Result<Vec<template_version::Model>> {
        let versions = template_version::Entity::find()
            .filter(template_version::Column::TemplateId.eq(id))
            .order_by_desc(template_version::Column::Version)
            .limit(most);
        Ok(versions.all(&self.reader()).await?)
    }

    /// Adds a template, if the subaccount has fewer than `most`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn create_template(
        &self,
        subaccount: &SubaccountId,
        new: NewTemplate,
        most: u64,
        actor: &Actor,
    ) -> Result<SavedTemplate> {
        let tx = self.begin().await?;
        let db = tx.connection();
        let of_subaccount = Entity::find().filter(Column::SubaccountId.eq(subaccount.as_str()));
        if of_subaccount.clone().count(db).await? >= most {
            return Ok(SavedTemplate::TooMany);
        }
        if of_subaccount.filter(Column::Name.eq(new.name.as_str())).one(db).await?.is_some() {
            return Ok(SavedTemplate::NameTaken);
        }
        let now = tx.now().await?;
        let row = Model {
            id: TemplateId::new(),
            subaccount_id: subaccount.to_string(),
            name: new.name,
            version: 1,
            message: new.message,
            created_at: now,
            updated_at: now,
        };
        row.clone().into_active_model().insert(db).await?;
        tx.keep_version(&row, actor, now).await?;
        tx.commit().await?;
        Ok(SavedTemplate::Now(Box::new(row)))
    }

    /// Writes a template anew, as its next version. With `version`, only if that is the one it has.
    ///
    /// # Errors
    /// What the database says.
    pub async fn change_template(
        &self,
        (subaccount, id): (&SubaccountId, TemplateId),
        new: NewTemplate,
        version: Option<i32>,
        actor: &Actor,
    ) -> Result<SavedTemplate> {
        let tx = self.begin().await?;
        let db = tx.connection();
        let of_subaccount = Entity::find().filter(Column::SubaccountId.eq(subaccount.as_str()));
        let row = of_subaccount.clone().filter(Column::Id.eq(id)).lock_exclusive().one(db).await?;
        let Some(row) = row else { return Ok(SavedTemplate::Missing) };
        if version.is_some_and(|version| version != row.version) {
            return Ok(SavedTemplate::Outdated(row.version));
        }
        let namesake = of_subaccount.filter(Column::Name.eq(new.name.as_str())).filter(Column::Id.ne(id));
        if namesake.one(db).await?.is_some() {
            return Ok(SavedTemplate::NameTaken);
        }
        let now = tx.now().await?;
        let row =
            Model { name: new.name, version: row.version + 1, message: new.message, updated_at: now, ..row };
        let change = ActiveModel {
            id: Set(row.id),
            name: Set(row.name.clone()),
            version: Set(row.version),
            message: Set(row.message.clone()),
            updated_at: Set(now),
            ..Default::default()
        };
        change.update(db).await?;
        tx.keep_version(&row, actor, now).await?;
        tx.commit().await?;
        Ok(SavedTemplate::Now(Box::new(row)))
    }

    /// Removes a template with its versions. What was sent stays as it was sent. False if there is none.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_template(
        &self,
        subaccount: &SubaccountId,
        id: TemplateId,
        actor: &Actor,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let db = tx.connection();
        let one = Entity::find_by_id(id).filter(Column::SubaccountId.eq(subaccount.as_str()));
        let Some(row) = one.lock_exclusive().one(db).await? else { return Ok(false) };
        let versions = template_version::Entity::delete_many();
        versions.filter(template_version::Column::TemplateId.eq(id)).exec(db).await?;
        Entity::delete_by_id(id).exec(db).await?;
        let deleted = Activity::of_subaccount(subaccount, ActivityKind::TemplateDeleted, actor);
        tx.record(&deleted.about(&id).with("name", row.name)).await?;
        tx.commit().await?;
        Ok(true)
    }
}

impl Tx {
    async fn keep_version(&self, row: &Model, actor: &Actor, now: Millis) -> Result<()> {
        let version = template_version::ActiveModel {
            template_id: Set(row.id),
            version: Set(row.version),
            message: Set(row.message.clone()),
            author: Set(actor.name.clone()),
            created_at: Set(now),
        };
        version.insert(self.connection()).await?;
        let subaccount = SubaccountId::parse(&row.subaccount_id).map_err(|_| crate::Error::Row {
            table: "templates",
            what: "its subaccount cannot be read".to_owned(),
        })?;
        let saved = Activity::of_subaccount(&subaccount, ActivityKind::TemplateSaved, actor);
        self.record_at(
            &saved.about(&row.id).with("name", row.name.as_str()).with("version", row.version),
            now,
        )
        .await
    }

    /// The templates of a subaccount that is erased.
    pub(crate) async fn forget_templates_of(&self, subaccount: &SubaccountId) -> Result<()> {
        let db = self.connection();
        let ids = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::SubaccountId.eq(subaccount.as_str()))
            .into_tuple::<TemplateId>()
            .all(db)
            .await?;
        let versions = template_version::Entity::delete_many();
        versions.filter(template_version::Column::TemplateId.is_in(ids.clone())).exec(db).await?;
        Entity::delete_many().filter(Column::Id.is_in(ids)).exec(db).await?;
        Ok(())
    }
}
