//! The saved messages of a subaccount.

use crate::content::message;
use crate::draft::{Draft, fields, preview};
use crate::page::curl;
use crate::words::{self, templates as text};
use crate::{BASE, Person};
use dmrelay_domain::permission::Permission;
use dmrelay_views::TemplateView;
use maud::{Markup, html};
use serde_json::Value;

/// A message that is being written.
#[derive(Debug, Clone, Default)]
pub struct Editing<'a> {
    /// The template that is written anew; none for a new one.
    pub template: Option<&'a TemplateView>,
    /// Its message as fields.
    pub draft: Draft,
}

/// The page.
pub fn templates(person: &Person, all: &[TemplateView], editing: &Editing<'_>) -> Markup {
    html! {
        main id="main" class="sheet" {
            h1 { (words::TEMPLATES) }
            p class="quiet" { (text::INTRO) }
            @if person.may(Permission::Configure) { (editor(person, editing)) }
            (saved(person, all))
            (curl(person, "templates"))
        }
    }
}

/// The messages, as a fragment.
pub fn saved(person: &Person, all: &[TemplateView]) -> Markup {
    html! {
        div id="templates" class="tiles" {
            @for template in all { (tile(person, template)) }
            @if all.is_empty() { p class="empty" { (text::NONE) } }
        }
    }
}

fn tile(person: &Person, template: &TemplateView) -> Markup {
    let may_change = person.may(Permission::Configure);
    html! {
        section class="card" {
            header {
                h2 { (template.name) }
                span class="quiet" { (text::version(template.version)) }
            }
            div class="bubble bot" { (message(&template.message)) }
            @if !template.variables.is_empty() { p class="quiet" { (text::VARIABLES) " " (template.variables.join(", ")) } }
            @if may_change {
                div class="acts" {
                    a class="button small" href={ (BASE) "/templates?template=" (template.template_id) } aria-label=(text::edit(&template.name)) { (text::EDIT) }
                    form method="post" action={ (BASE) "/templates/" (template.template_id) "/remove" } data-post
                        data-confirm=(text::remove_confirm(&template.name)) {
                        input type="hidden" name="csrf" value=(person.csrf);
                        button class="small" aria-label=(text::remove(&template.name)) { (text::REMOVE) }
                    }
                }
            }
        }
    }
}

/// The form, as a fragment: written anew, or empty.
pub fn editor(person: &Person, editing: &Editing<'_>) -> Markup {
    let id = editing.template.map(|template| template.template_id);
    let action = id.map_or_else(|| format!("{BASE}/templates"), |id| format!("{BASE}/templates/{id}"));
    let name = editing.template.map(|template| template.name.as_str()).unwrap_or_default();
    let shown = editing.template.map_or(&Value::Null, |template| &template.message);
    html! {
        form id="editor" class="connect editor" method="post" action=(action) data-post data-preview={ (BASE) "/drafts" } {
            input type="hidden" name="csrf" value=(person.csrf);
            @if let Some(template) = editing.template { input type="hidden" name="version" value=(template.version); }
            h2 { @if id.is_some() { (text::CHANGE) } @else { (text::NEW) } }
            label { (text::NAME) input name="name" required maxlength="100" autocomplete="off" placeholder=(text::NAME_EXAMPLE) value=(name); }
            (fields(&editing.draft))
            (preview(Ok(shown)))
            div class="acts" {
                button class="take" { (text::SAVE) }
                @if id.is_some() { a href={ (BASE) "/templates" } { (text::CANCEL) } }
            }
        }
    }
}
