//! Saved messages.

use super::enums;
use super::format::{always, parsed};
use dmrelay_store::entity::{template, template_version};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// A saved message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Template)]
pub struct TemplateView {
    /// The id of the template.
    pub template_id: Uuid,
    /// What it is called.
    #[schema(example = "Parcel sent")]
    pub name: String,
    /// How often it was written, from 1.
    #[schema(minimum = 1)]
    pub version: i32,
    /// Graph's `message` object, with `{{variables}}`.
    #[schema(schema_with = enums::graph_message)]
    pub message: Value,
    /// The names of its variables.
    #[schema(example = json!(["name", "order"]))]
    pub variables: Vec<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was written last.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl TemplateView {
    /// The view of a row, whose message has these variables.
    pub fn of(row: &template::Model, variables: impl IntoIterator<Item = String>) -> Self {
        Self {
            template_id: row.id.0,
            name: row.name.clone(),
            version: row.version,
            message: parsed(Some(&row.message)),
            variables: variables.into_iter().collect(),
            created_at: always(row.created_at),
            updated_at: always(row.updated_at),
        }
    }
}

/// What a version of a saved message said.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TemplateVersion)]
pub struct TemplateVersionView {
    /// The version, from 1.
    #[schema(minimum = 1)]
    pub version: i32,
    /// What it said.
    #[schema(schema_with = enums::graph_message)]
    pub message: Value,
    /// Who wrote it, by name.
    pub author: String,
    /// When.
    #[schema(format = DateTime)]
    pub created_at: String,
}

impl TemplateVersionView {
    /// The view of a row.
    pub fn of(row: &template_version::Model) -> Self {
        Self {
            version: row.version,
            message: parsed(Some(&row.message)),
            author: row.author.clone(),
            created_at: always(row.created_at),
        }
    }
}
