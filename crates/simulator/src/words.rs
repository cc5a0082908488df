//! A service that puts voice messages and pictures into words, as OpenAI's does and many that are compatible with it
//! (OpenAI, "API reference": `POST /v1/audio/transcriptions`, `POST /v1/chat/completions`). It understands nothing: what it says is a
//! setting.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::engine::Core;
use crate::faults::{self, Fault, Subject};
use crate::operation::{Operation, Service};

/// What the service says of everything it is sent.
#[derive(Clone, Debug)]
pub struct Words {
    /// What a voice message says.
    pub transcript: String,
    /// What a picture shows.
    pub description: String,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            transcript: "Do you ship to Norway?".to_owned(),
            description: "A blue vase on a wooden table.".to_owned(),
        }
    }
}

/// A call to the service.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WordsCall {
    /// The model.
    pub model: String,
    /// The bearer token.
    pub key: Option<String>,
    /// The media type of what was sent.
    pub content_type: String,
    /// What was said beside it.
    pub prompt: Option<String>,
}

type Answered = Result<(WordsCall, Value), (StatusCode, &'static str)>;

/// `/openai/…`.
pub(crate) async fn handle(State(core): State<Arc<Core>>, request: Request) -> Response {
    let operation = match (request.method(), request.uri().path()) {
        (&Method::POST, "/v1/audio/transcriptions") => Operation::Transcribe,
        (&Method::POST, "/v1/chat/completions") => Operation::Describe,
        _ => Operation::Unknown,
    };
    let fault = core.change(|world| {
        world.record.count_call(operation.key());
        world.faults.strike(&Subject::new(Service::Words, operation))
    });
    let shared = Arc::clone(&core);
    let work = async move { perform(&shared, operation, request).await };
    match fault {
        None => work.await,
        Some(fault) => core.see_through(async move { faults::play(fault, work, refusal).await }).await,
    }
}

fn refusal(fault: &Fault) -> Response {
    let status = faults::status_of(fault, StatusCode::INTERNAL_SERVER_ERROR);
    error(
        status,
        fault.message.as_deref().unwrap_or("The server had an error while processing your request."),
    )
}

fn error(status: StatusCode, message: &str) -> Response {
    let body = json!({ "error": { "message": message, "type": "invalid_request_error", "param": null, "code": null } });
    (status, Json(body)).into_response()
}

async fn perform(core: &Core, operation: Operation, request: Request) -> Response {
    let key = key_of(request.headers());
    let words = core.read(|world| world.words.clone());
    let answered = match operation {
        Operation::Transcribe => transcribe(words, request).await,
        Operation::Describe => describe(words, request).await,
        _ => Err((StatusCode::NOT_FOUND, "Invalid URL")),
    };
    match answered {
        Ok((call, answer)) => {
            core.change(|world| world.record.words.push(WordsCall { key, ..call }));
            Json(answer).into_response()
        }
        Err((status, message)) => error(status, message),
    }
}

fn key_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::to_owned)
}

async fn transcribe(words: Words, request: Request) -> Answered {
    const BAD: (StatusCode, &str) = (StatusCode::BAD_REQUEST, "Could not parse multipart form");
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| BAD)?;
    let (mut model, mut content_type) = (None, None);
    while let Some(field) = form.next_field().await.map_err(|_| BAD)? {
        match field.name() {
            Some("model") => model = Some(field.text().await.map_err(|_| BAD)?),
            Some("file") => {
                let kind = field.content_type().unwrap_or_default().to_owned();
                let is_named = field.file_name().is_some();
                let is_empty = field.bytes().await.map_err(|_| BAD)?.is_empty();
                content_type = Some(kind).filter(|_| is_named && !is_empty);
            }
            _ => {}
        }
    }
    let model = model.ok_or((StatusCode::BAD_REQUEST, "you must provide a model parameter"))?;
    let content_type = content_type.ok_or((StatusCode::BAD_REQUEST, "Invalid file format."))?;
    let answer = json!({ "text": words.transcript, "usage": { "type": "duration", "seconds": 3 } });
    Ok((WordsCall { model, key: None, content_type, prompt: None }, answer))
}

async fn describe(words: Words, request: Request) -> Answered {
    const BAD: (StatusCode, &str) =
        (StatusCode::BAD_REQUEST, "We could not parse the JSON body of your request.");
    let Json(body) = Json::<Value>::from_request(request, &()).await.map_err(|_| BAD)?;
    let model =
        body["model"].as_str().ok_or((StatusCode::BAD_REQUEST, "you must provide a model parameter"))?;
    let parts = body["messages"][0]["content"].as_array().ok_or(BAD)?;
    let image = parts.iter().find_map(|part| part["image_url"]["url"].as_str());
    let kind = image.and_then(|url| url.strip_prefix("data:")?.split_once(";base64,"));
    let (kind, _) = kind.ok_or((StatusCode::BAD_REQUEST, "Invalid image."))?;
    let prompt = parts.iter().find_map(|part| part["text"].as_str()).map(str::to_owned);
    let call = WordsCall { model: model.to_owned(), key: None, content_type: kind.to_owned(), prompt };
    let answer = json!({
        "choices": [{ "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": words.description } }],
        "usage": { "prompt_tokens": 80, "completion_tokens": 12, "total_tokens": 92 },
    });
    Ok((call, answer))
}
