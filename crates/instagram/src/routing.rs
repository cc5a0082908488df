//! Who has a conversation, where several apps share an account (Meta, "Conversation routing").

use crate::account::text;
use crate::graph::Request;
use crate::{Access, Graph, GraphError};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::InstagramUserId;
use dmrelay_runtime::http::Method;
use serde_json::{Map, Value, json};

/// The inbox of the Instagram app, as an app of Meta's.
pub const INSTAGRAM_INBOX: &str = "1217981644879628";

/// The inbox of a Page, likewise.
pub const PAGE_INBOX: &str = "263902037430900";

/// Who has a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThreadOwner {
    /// The app; none if nobody has it.
    pub app_id: Option<String>,
    /// Until when, if Meta tells.
    pub until: Option<Millis>,
}

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadControl<'a> {
    /// It becomes ours.
    Take,
    /// It becomes nobody's.
    Release,
    /// It becomes this app's.
    Pass(&'a str),
}

impl Graph {
    /// Who has the conversation with a customer. The form of Meta's answer is not documented for Instagram: what cannot be read counts
    /// as nobody.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn thread_owner(
        &self,
        access: &Access,
        user: &InstagramUserId,
    ) -> Result<ThreadOwner, GraphError> {
        let path = [access.node.as_str(), "thread_owner"];
        let query = [("recipient", user.as_str())];
        let json = self.call(access, self.read("thread_owner", &path, &query)).await?;
        let first = if json["data"].is_array() { &json["data"][0] } else { &json };
        let owner = if first["thread_owner"].is_object() { &first["thread_owner"] } else { first };
        let until = ["expiration", "expiry"].iter().find_map(|name| owner[*name].as_i64());
        Ok(ThreadOwner { app_id: text(&owner["app_id"]), until: until.map(|seconds| seconds * 1_000) })
    }

    /// Takes the conversation with a customer, releases it, or passes it to another app.
    ///
    /// # Errors
    /// [`GraphError`]; of class `Gone` where another app has it and it cannot be taken.
    pub async fn control_thread(
        &self,
        access: &Access,
        user: &InstagramUserId,
        control: ThreadControl<'_>,
    ) -> Result<(), GraphError> {
        let (edge, target) = match control {
            ThreadControl::Take => ("take_thread_control", None),
            ThreadControl::Release => ("release_thread_control", None),
            ThreadControl::Pass(app) => ("pass_thread_control", Some(app)),
        };
        let mut body = Map::from_iter([("recipient".to_owned(), json!({"id": user.as_str()}))]);
        body.extend(target.map(|app| ("target_app_id".to_owned(), json!(app))));
        let path = [access.node.as_str(), edge];
        let request = Request {
            method: Method::POST,
            json: Some(Value::Object(body)),
            ..self.read("control_thread", &path, &[])
        };
        self.call(access, request).await.map(|_| ())
    }
}
