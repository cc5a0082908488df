//! `POST /{id}/message_attachments`: files for messages (Meta, "Attachment upload"; documented for Facebook Login, and used by clients with
//! Instagram Login).

use serde_json::{Value, json};

use super::call::Call;
use super::errors::GraphError;
use super::send::need_messaging;
use crate::ids;
use crate::world::World;
use crate::world::account::LoginKind;

/// Largest image, and largest other file, in bytes.
const IMAGE_BYTES_MAX: u64 = 8 << 20;
const MEDIA_BYTES_MAX: u64 = 25 << 20;

/// A file that Meta keeps.
#[derive(Clone, Debug)]
pub(crate) struct Uploaded {
    pub(crate) account: String,
    pub(crate) kind: String,
}

pub(super) fn upload(world: &mut World, account: &str, call: &Call) -> Result<Value, GraphError> {
    let owner = world.accounts.get(account);
    if let Some(owner) = owner {
        need_messaging(owner)?;
    }
    // Assumption: with Instagram Login no platform is named.
    let is_facebook = owner.is_some_and(|owner| owner.login == LoginKind::Facebook);
    if is_facebook && call.query("platform") != Some("instagram") {
        return refuse("Param platform must be instagram.");
    }
    let attachment = &call.body["message"]["attachment"];
    let kind = attachment["type"].as_str().unwrap_or_default();
    let file = &call.body["filedata"];
    let url = attachment["payload"]["url"].as_str();
    match (url, file.is_object()) {
        (Some(url), false) if url.starts_with("http") => {}
        (None, true) => check(kind, file)?,
        _ => return refuse("Either a url or filedata is required."),
    }
    if !matches!(kind, "image" | "video" | "audio" | "file") {
        return refuse("Param message[attachment][type] is not valid.");
    }
    if !matches!(attachment["payload"]["is_reusable"].to_string().trim_matches('"'), "true") {
        return refuse("Param is_reusable must be true.");
    }
    let id = ids::digits(16);
    let uploaded = Uploaded { account: account.to_owned(), kind: kind.to_owned() };
    world.uploads.insert(id.clone(), uploaded);
    Ok(json!({ "attachment_id": id }))
}

/// The formats and sizes of the Messaging API. Meta has been seen to refuse others only after "sent".
fn check(kind: &str, file: &Value) -> Result<(), GraphError> {
    let name = file["filename"].as_str().unwrap_or_default();
    if !name.is_ascii() || name.is_empty() {
        return refuse("The name of the file must be in ASCII.");
    }
    let formats: &[&str] = match kind {
        "image" => &["image/png", "image/jpeg", "image/gif"],
        "video" => &["video/mp4", "video/ogg", "video/x-msvideo", "video/quicktime", "video/webm"],
        "audio" => &["audio/aac", "audio/mp4", "audio/wav"],
        _ => &["application/pdf"],
    };
    let most = if kind == "image" { IMAGE_BYTES_MAX } else { MEDIA_BYTES_MAX };
    let is_small = file["size"].as_u64().is_some_and(|size| (1..=most).contains(&size));
    if !is_small || !formats.contains(&file["contentType"].as_str().unwrap_or_default()) {
        return Err(GraphError::sub(100, 2_018_047, "(#100) Upload attachment failure."));
    }
    Ok(())
}

fn refuse<T>(what: &str) -> Result<T, GraphError> {
    Err(GraphError::new(100, format!("(#100) {what}")))
}
