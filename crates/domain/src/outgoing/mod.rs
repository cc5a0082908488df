//! What a message to a customer may hold: Graph's own `message` object, checked against Meta's limits before it is sent, since Meta
//! refuses some of it only after it said "sent" (Meta, "Messaging API", "Generic template", "Button template", "Product template",
//! "Quick replies", "Attachment upload").

mod template;

pub use template::{NotFilled, Template};

use crate::split::MAX_BYTES;
use crate::text::pointer_token;
use serde_json::{Map, Value, json};
use std::fmt;
use url::Url;

/// The `message` object of a send, within Meta's limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing(Value);

/// A message that Graph would reject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidMessage {
    /// Everything that is wrong with it; at least one fault.
    pub faults: Vec<Fault>,
}

/// Something that is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer into the message.
    pub pointer: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for InvalidMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, Fault { pointer, what }) in self.faults.iter().enumerate() {
            let (between, colon) =
                (if n > 0 { "; " } else { "" }, if pointer.is_empty() { "" } else { ": " });
            write!(f, "{between}{pointer}{colon}{what}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidMessage {}

/// Maximum number of quick replies, and maximum length of their titles in characters.
const QUICK_REPLIES_MAX: usize = 13;
const QUICK_TITLE_CHARS_MAX: usize = 20;

/// Maximum length of the payload of a quick reply or a button, in characters.
const PAYLOAD_CHARS_MAX: usize = 1_000;

/// Maximum number of images in a message.
const IMAGES_MAX: usize = 10;

/// Limits of templates: elements, characters of their texts, buttons, characters of a button's title, and of the text of a button template.
const ELEMENTS_MAX: usize = 10;
const ELEMENT_CHARS_MAX: usize = 80;
const BUTTONS_MAX: usize = 3;
const BUTTON_TITLE_CHARS_MAX: usize = 20;
const BUTTON_TEXT_CHARS_MAX: usize = 640;

/// Maximum length of a URL, in bytes.
const URL_BYTES_MAX: usize = 2_000;

/// The media that are sent by URL or attachment id, each with the extensions of the formats that Meta accepts. Meta refuses other audio
/// formats only after it has accepted the send.
const MEDIA: [(&str, &[&str]); 4] = [
    ("image", &["png", "jpg", "jpeg", "gif"]),
    ("video", &["mp4", "ogg", "ogv", "avi", "mov", "webm"]),
    ("audio", &["aac", "m4a", "wav", "mp4"]),
    ("file", &["pdf"]),
];

/// Largest image, and largest video, audio or file, in bytes (Meta, "Messaging API": 8 MB and 25 MB).
const IMAGE_BYTES_MAX: u64 = 8 * 1024 * 1024;
const MEDIA_BYTES_MAX: u64 = 25 * 1024 * 1024;

/// As what a file of this media type and extension is sent, in Meta's words: the type of its attachment.
///
/// # Errors
/// What Instagram takes instead, in words.
pub fn sent_as(media_type: &str, extension: &str, bytes: u64) -> Result<&'static str, String> {
    let family = media_type.split('/').next().unwrap_or_default();
    let kind = if ["image", "video", "audio"].contains(&family) { family } else { "file" };
    let Some((kind, formats)) = MEDIA.iter().find(|(word, _)| *word == kind) else {
        return Err("is not a type that Instagram accepts".to_owned());
    };
    if !formats.contains(&extension) {
        return Err(format!("Instagram takes no {extension} as {kind}, only {}", formats.join(", ")));
    }
    too_large(kind, bytes).map_or(Ok(kind), Err)
}

/// Media types of other formats, and of pages: what Instagram does not send as anything. A server that tells none of these may have
/// what it takes.
const OTHER_TYPES: [&str; 16] = [
    "text/html",
    "text/plain",
    "application/json",
    "image/webp",
    "image/svg+xml",
    "image/heic",
    "image/avif",
    "image/tiff",
    "image/bmp",
    "audio/mpeg",
    "audio/mp3",
    "audio/ogg",
    "audio/webm",
    "audio/flac",
    "application/zip",
    "application/msword",
];

/// Why a file of which a server tells this cannot be sent as `kind`, in Meta's words. `None` if it can, or nobody knows.
pub fn cannot_be_sent_as(kind: &str, media_type: &str, bytes: Option<u64>) -> Option<String> {
    let (_, formats) = MEDIA.iter().find(|(word, _)| *word == kind)?;
    if OTHER_TYPES.contains(&media_type) {
        return Some(format!("Instagram takes no {media_type} as {kind}, only {}", formats.join(", ")));
    }
    too_large(kind, bytes?)
}

fn too_large(kind: &str, bytes: u64) -> Option<String> {
    let most = if kind == "image" { IMAGE_BYTES_MAX } else { MEDIA_BYTES_MAX };
    (bytes > most).then(|| format!("has {bytes} bytes; Instagram takes at most {most} as {kind}"))
}

/// The files that a message names by address: where each is in Graph's `message` object, as what it is sent, and its address.
pub fn addresses(message: &Value) -> Vec<(String, &str, &str)> {
    let one = message.get("attachment").into_iter().map(|one| ("/attachment".to_owned(), one));
    let several = message["attachments"].as_array().into_iter().flatten().enumerate();
    let all = one.chain(several.map(|(n, one)| (format!("/attachments/{n}"), one)));
    all.filter_map(|(at, one)| {
        let url = one["payload"]["url"].as_str()?;
        Some((format!("{at}/payload/url"), one["type"].as_str()?, url))
    })
    .collect()
}

/// The ids of uploads that a message names: Graph's `message` object.
pub fn attachment_ids(message: &Value) -> Vec<(&str, &str)> {
    let one = message.get("attachment").into_iter();
    let all = one.chain(message["attachments"].as_array().into_iter().flatten());
    all.filter_map(|one| Some((one["type"].as_str()?, one["payload"]["attachment_id"].as_str()?))).collect()
}

/// Extensions of files that are no web pages: of any other, Meta decides by what it fetches.
const EXTENSIONS: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "webp", "heic", "heif", "svg", "bmp", "tif", "tiff", "avif", "mp4", "ogg",
    "ogv", "avi", "mov", "webm", "mkv", "aac", "m4a", "wav", "mp3", "oga", "opus", "flac", "amr", "pdf",
    "doc", "docx", "xls", "xlsx", "zip", "txt", "csv",
];

/// A heart (Meta, "Messaging API": stickers).
const LIKE_HEART: &str = "like_heart";

/// A post of the account's own.
const MEDIA_SHARE: &str = "MEDIA_SHARE";

impl Outgoing {
    /// A text of at most 1,000 bytes.
    ///
    /// # Errors
    /// [`InvalidMessage`] when it is empty or longer.
    pub fn text(text: &str) -> Result<Self, InvalidMessage> {
        Self::from_json(&json!({ "text": text })).map_err(|mut err| {
            err.faults.iter_mut().for_each(|fault| fault.pointer.clear());
            err
        })
    }

    /// A message in Graph's own format: a `text` with or without `quick_replies`; one `attachment`, which is an image, a video, audio or a
    /// PDF by `url` or `attachment_id`, a `like_heart`, a `MEDIA_SHARE` of an own post, or a `template`; or up to ten images as
    /// `attachments`.
    ///
    /// # Errors
    /// [`InvalidMessage`] with everything that Graph is documented to reject.
    pub fn from_json(message: &Value) -> Result<Self, InvalidMessage> {
        let mut check = Check::default();
        if has_nul(message) {
            check.at("", "must not hold U+0000");
        } else if let Some(fields) =
            check.object("", message, &["text", "quick_replies", "attachment", "attachments"])
        {
            check.message(fields);
        }
        if check.faults.is_empty() { Ok(Self(message.clone())) } else { Err(check.into()) }
    }

    /// The text, if there is one.
    pub fn as_text(&self) -> Option<&str> {
        self.0["text"].as_str()
    }

    /// The `message` object.
    pub fn as_json(&self) -> &Value {
        &self.0
    }

    /// Our word for its kind: `text`, `image`, `video`, `audio`, `file`, `like_heart`, `media_share` or `template`.
    pub fn kind(&self) -> &str {
        let kind =
            self.0["attachment"]["type"].as_str().or_else(|| self.0["attachments"][0]["type"].as_str());
        match kind {
            Some(MEDIA_SHARE) => "media_share",
            Some(kind) => kind,
            None => "text",
        }
    }

    /// Whether only accounts connected with Facebook Login can send it: a product template (Meta, "Product template").
    pub fn needs_facebook_login(&self) -> bool {
        self.0["attachment"]["payload"]["template_type"] == "product"
    }
}

/// Whether a text in it holds U+0000, which databases do not store.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// The faults of a message as they are found.
#[derive(Default)]
struct Check {
    faults: Vec<Fault>,
}

impl From<Check> for InvalidMessage {
    fn from(check: Check) -> Self {
        Self { faults: check.faults }
    }
}

type Fields = Map<String, Value>;

impl Check {
    fn at(&mut self, pointer: impl Into<String>, what: impl Into<String>) {
        self.faults.push(Fault { pointer: pointer.into(), what: what.into() });
    }

    /// The fields of an object, of which all are known.
    fn object<'a>(&mut self, pointer: &str, value: &'a Value, known: &[&str]) -> Option<&'a Fields> {
        let Some(fields) = value.as_object() else {
            self.at(pointer, "must be an object");
            return None;
        };
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            self.at(format!("{pointer}/{}", pointer_token(name)), "is not a field of this object");
        }
        Some(fields)
    }

    /// A list with a number of items.
    fn list<'a>(&mut self, pointer: &str, value: Option<&'a Value>, most: usize) -> &'a [Value] {
        match value.and_then(Value::as_array) {
            Some(list) if (1..=most).contains(&list.len()) => list,
            _ => {
                self.at(pointer, format!("must be a list of 1 to {most}"));
                &[]
            }
        }
    }

    /// A text with a number of characters that is not blank.
    fn text(&mut self, pointer: &str, value: Option<&Value>, most: usize) {
        match value.and_then(Value::as_str) {
            Some(text) if text.trim().is_empty() => self.at(pointer, "must not be empty"),
            Some(text) if text.chars().count() > most => {
                let is = text.chars().count();
                self.at(pointer, format!("must have at most {most} characters, has {is}"));
            }
            Some(_) => {}
            None => self.at(pointer, format!("must be a text of 1 to {most} characters")),
        }
    }

    /// An address that Meta, or the customer's phone, can fetch.
    fn url(&mut self, pointer: &str, value: Option<&Value>) -> Option<Url> {
        let text = value.and_then(Value::as_str).filter(|text| text.len() <= URL_BYTES_MAX);
        let url = text.and_then(|text| Url::parse(text).ok()).filter(|url| url.scheme() == "https");
        let url = url.filter(|url| url.domain().is_some_and(|domain| domain.contains('.')));
        if url.is_none() {
            self.at(pointer, "must be an https URL that Meta can fetch");
        }
        url
    }

    fn message(&mut self, fields: &Fields) {
        let given = ["text", "attachment", "attachments"];
        let given: Vec<&str> = given.into_iter().filter(|name| fields.contains_key(*name)).collect();
        match given[..] {
            [] => self.at("", "text, attachment or attachments is required"),
            [first, second, ..] => self.at(format!("/{second}"), format!("cannot be combined with {first}")),
            [_] => {}
        }
        for name in &given {
            match *name {
                "text" => self.plain_text(&fields["text"]),
                "attachment" => self.attachment("/attachment", &fields["attachment"]),
                other => self.images(&fields[other]),
            }
        }
        if let Some(replies) = fields.get("quick_replies") {
            if !given.contains(&"text") {
                self.at("/quick_replies", "need a text");
            }
            self.quick_replies(replies);
        }
    }

    fn plain_text(&mut self, text: &Value) {
        match text.as_str() {
            None => self.at("/text", "must be a string"),
            Some(text) if text.trim().is_empty() => self.at("/text", "must not be empty"),
            Some(text) if text.len() > MAX_BYTES => {
                self.at("/text", format!("must be at most {MAX_BYTES} bytes, is {}", text.len()));
            }
            Some(_) => {}
        }
    }

    fn quick_replies(&mut self, replies: &Value) {
        for (n, reply) in self.list("/quick_replies", Some(replies), QUICK_REPLIES_MAX).iter().enumerate() {
            let at = format!("/quick_replies/{n}");
            let Some(fields) = self.object(&at, reply, &["content_type", "title", "payload"]) else {
                continue;
            };
            // The others are off since 5 October 2026 (Meta, "Instagram platform: changelog").
            if fields.get("content_type").is_none_or(|kind| kind != "text") {
                self.at(format!("{at}/content_type"), "must be text");
            }
            self.text(&format!("{at}/title"), fields.get("title"), QUICK_TITLE_CHARS_MAX);
            self.text(&format!("{at}/payload"), fields.get("payload"), PAYLOAD_CHARS_MAX);
        }
    }

    fn images(&mut self, images: &Value) {
        for (n, image) in self.list("/attachments", Some(images), IMAGES_MAX).iter().enumerate() {
            let at = format!("/attachments/{n}");
            if image["type"] == "image" {
                self.attachment(&at, image);
            } else {
                self.at(format!("{at}/type"), "must be image: only images go several at once");
            }
        }
    }

    fn attachment(&mut self, at: &str, attachment: &Value) {
        let Some(fields) = self.object(at, attachment, &["type", "payload"]) else { return };
        let payload = format!("{at}/payload");
        match (fields.get("type").and_then(Value::as_str).unwrap_or_default(), fields.get("payload")) {
            (LIKE_HEART, None) => {}
            (LIKE_HEART, Some(_)) => self.at(payload, "a like_heart has none"),
            (MEDIA_SHARE, of) => self.own_post(&payload, of.unwrap_or(&Value::Null)),
            ("template", of) => self.template(&payload, of.unwrap_or(&Value::Null)),
            (kind, of) => {
                if let Some((_, formats)) = MEDIA.iter().find(|(word, _)| *word == kind) {
                    self.media(&payload, of.unwrap_or(&Value::Null), (kind, formats));
                } else {
                    let what = "must be image, video, audio, file, template, like_heart or MEDIA_SHARE";
                    self.at(format!("{at}/type"), what);
                }
            }
        }
    }

    fn media(&mut self, at: &str, payload: &Value, (kind, formats): (&str, &[&str])) {
        let Some(fields) = self.object(at, payload, &["url", "attachment_id", "is_reusable"]) else { return };
        if fields.get("is_reusable").is_some_and(|value| !value.is_boolean()) {
            self.at(format!("{at}/is_reusable"), "must be true or false");
        }
        match (fields.get("url"), fields.get("attachment_id")) {
            (None, None) => self.at(at, "url or attachment_id is required"),
            (Some(_), Some(_)) => self.at(format!("{at}/attachment_id"), "cannot be combined with url"),
            (None, Some(id)) => self.id(&format!("{at}/attachment_id"), id),
            (url, None) => {
                let at = format!("{at}/url");
                let extension = self.url(&at, url).and_then(|url| extension(&url));
                let is_wrong = |extension: &&String| {
                    EXTENSIONS.contains(&extension.as_str()) && !formats.contains(&extension.as_str())
                };
                if let Some(extension) = extension.as_ref().filter(is_wrong) {
                    let formats = formats.join(", ");
                    self.at(at, format!("Instagram takes no {extension} as {kind}, only {formats}"));
                }
            }
        }
    }

    fn own_post(&mut self, at: &str, payload: &Value) {
        if let Some(fields) = self.object(at, payload, &["id"]) {
            self.id(&format!("{at}/id"), fields.get("id").unwrap_or(&Value::Null));
        }
    }

    /// An id of Meta's.
    fn id(&mut self, at: &str, id: &Value) {
        let is_id = |id: &str| (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
        if !id.as_str().is_some_and(is_id) {
            self.at(at, "must be an id of Meta's, as a string");
        }
    }

    fn template(&mut self, at: &str, payload: &Value) {
        let Some(kind) = payload["template_type"].as_str() else {
            self.at(format!("{at}/template_type"), "must be generic, button or product");
            return;
        };
        let elements = format!("{at}/elements");
        match kind {
            "generic" => {
                let Some(fields) = self.object(at, payload, &["template_type", "elements"]) else { return };
                let list = self.list(&elements, fields.get("elements"), ELEMENTS_MAX);
                for (n, element) in list.iter().enumerate() {
                    self.element(&format!("{elements}/{n}"), element);
                }
            }
            "button" => {
                let known = ["template_type", "text", "buttons"];
                let Some(fields) = self.object(at, payload, &known) else { return };
                self.text(&format!("{at}/text"), fields.get("text"), BUTTON_TEXT_CHARS_MAX);
                self.buttons(&format!("{at}/buttons"), fields.get("buttons"));
            }
            "product" => {
                let Some(fields) = self.object(at, payload, &["template_type", "elements"]) else { return };
                let list = self.list(&elements, fields.get("elements"), ELEMENTS_MAX);
                for (n, element) in list.iter().enumerate() {
                    self.own_post(&format!("{elements}/{n}"), element);
                }
            }
            _ => self.at(format!("{at}/template_type"), "must be generic, button or product"),
        }
    }

    fn element(&mut self, at: &str, element: &Value) {
        let more = ["subtitle", "image_url", "default_action", "buttons"];
        let known = [&["title"][..], &more].concat();
        let Some(fields) = self.object(at, element, &known) else { return };
        self.text(&format!("{at}/title"), fields.get("title"), ELEMENT_CHARS_MAX);
        if !more.iter().any(|name| fields.contains_key(*name)) {
            self.at(at, format!("needs one of {} besides its title", more.join(", ")));
        }
        if let Some(subtitle) = fields.get("subtitle") {
            self.text(&format!("{at}/subtitle"), Some(subtitle), ELEMENT_CHARS_MAX);
        }
        if let Some(image) = fields.get("image_url") {
            self.url(&format!("{at}/image_url"), Some(image));
        }
        if let Some(action) = fields.get("default_action") {
            let at = format!("{at}/default_action");
            if let Some(fields) = self.object(&at, action, &["type", "url"]) {
                if fields.get("type").is_none_or(|kind| kind != "web_url") {
                    self.at(format!("{at}/type"), "must be web_url");
                }
                self.url(&format!("{at}/url"), fields.get("url"));
            }
        }
        if let Some(buttons) = fields.get("buttons") {
            self.buttons(&format!("{at}/buttons"), Some(buttons));
        }
    }

    fn buttons(&mut self, at: &str, buttons: Option<&Value>) {
        for (n, button) in self.list(at, buttons, BUTTONS_MAX).iter().enumerate() {
            let at = format!("{at}/{n}");
            let Some(fields) = self.object(&at, button, &["type", "title", "url", "payload"]) else {
                continue;
            };
            self.text(&format!("{at}/title"), fields.get("title"), BUTTON_TITLE_CHARS_MAX);
            let (needed, other) = match fields.get("type").and_then(Value::as_str) {
                Some("web_url") => ("url", "payload"),
                Some("postback") => ("payload", "url"),
                _ => {
                    self.at(format!("{at}/type"), "must be web_url or postback");
                    continue;
                }
            };
            let pointer = format!("{at}/{needed}");
            if needed == "url" {
                self.url(&pointer, fields.get(needed));
            } else {
                self.text(&pointer, fields.get(needed), PAYLOAD_CHARS_MAX);
            }
            if fields.contains_key(other) {
                self.at(format!("{at}/{other}"), format!("a button with a {needed} has none"));
            }
        }
    }
}

/// The extension of the file that an address names, in lower case.
fn extension(url: &Url) -> Option<String> {
    let file = url.path_segments()?.next_back()?;
    file.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
