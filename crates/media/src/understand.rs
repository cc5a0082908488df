//! Media in words, by OpenAI-compatible services: voice messages are transcribed (`POST /v1/audio/transcriptions`), pictures described
//! (`POST /v1/chat/completions`; OpenAI, "API reference": Audio, Chat).

use crate::kind::ContentType;
use bytes::Bytes;
use dmrelay_domain::secret::Secret;
use dmrelay_runtime::http::{Answer, Call, Client, Method, Part};
use dmrelay_runtime::metrics::Metrics;
use dmrelay_runtime::settings::{InvalidSetting, UnderstandingSettings};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::Url;

/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause before a call is made again, and after each further one twice as long.
const PAUSE: Duration = Duration::from_millis(500);

const SERVICE: &str = "words";
const TRANSCRIBE: &str = "transcribe";
const DESCRIBE: &str = "describe";

/// Puts media into words; cheap to clone.
#[derive(Clone)]
pub struct Interpreter {
    client: Client,
    transcription: Option<Service>,
    vision: Option<Service>,
    prompt: Arc<str>,
    timeout: Duration,
    attempts: u8,
    bytes_max: usize,
}

#[derive(Clone)]
struct Service {
    url: Url,
    model: Arc<str>,
    key: Option<Secret<String>>,
}

/// What a medium says or shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// In words; empty if it says nothing.
    pub text: String,
    /// The tokens that the service charges for, where it tells.
    pub tokens: i32,
    /// The seconds of audio that the service charges for, where it tells.
    pub seconds: i32,
}

/// Why a medium was not put into words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotUnderstood {
    /// It is larger than what is sent there.
    #[error("it is larger than UNDERSTANDING_BYTES_MAX")]
    TooLarge,
    /// The service does not take it, or not now.
    #[error("{0}")]
    Refused(String),
}

impl Interpreter {
    /// An interpreter with these settings; `None` if nothing is to be put into words.
    ///
    /// # Errors
    /// A key that cannot be read, or TLS roots that cannot.
    pub fn new(
        settings: &UnderstandingSettings,
        metrics: Arc<Metrics>,
    ) -> Result<Option<Self>, InvalidSetting> {
        let service = |url: &Option<Url>, model: &str, key: Option<Secret<String>>| {
            url.clone().map(|url| Service { url, model: model.into(), key })
        };
        let (voice, eyes) = (settings.transcription_api_key.get()?, settings.vision_api_key.get()?);
        let transcription = service(&settings.transcription_url, &settings.transcription_model, voice);
        let vision = service(&settings.vision_url, &settings.vision_model, eyes);
        if transcription.is_none() && vision.is_none() {
            return Ok(None);
        }
        let client = Client::new(CONNECT_TIMEOUT, metrics)
            .map_err(|what| InvalidSetting { name: "TRANSCRIPTION_URL", what })?;
        let operations = [(TRANSCRIBE, &transcription), (DESCRIBE, &vision)];
        let used: Vec<_> =
            operations.iter().filter(|(_, service)| service.is_some()).map(|(name, _)| *name).collect();
        client.expect_calls(SERVICE, &used);
        Ok(Some(Self {
            client,
            transcription,
            vision,
            prompt: settings.vision_prompt.as_str().into(),
            timeout: settings.understanding_timeout,
            attempts: settings.understanding_attempts,
            bytes_max: usize::try_from(settings.understanding_bytes_max).unwrap_or(usize::MAX),
        }))
    }

    /// Whether voice messages are transcribed.
    pub fn hears(&self) -> bool {
        self.transcription.is_some()
    }

    /// Whether pictures are described.
    pub fn sees(&self) -> bool {
        self.vision.is_some()
    }

    /// What a medium says or shows. `None` if media of its kind are not put into words.
    ///
    /// # Errors
    /// [`NotUnderstood`].
    pub async fn words(&self, bytes: &Bytes, kind: ContentType) -> Result<Option<Words>, NotUnderstood> {
        let is_audio = kind.as_str().starts_with("audio/");
        let service = match &self.transcription {
            Some(service) if is_audio => service,
            _ if kind.as_str().starts_with("image/") => match &self.vision {
                Some(service) => service,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        if bytes.len() > self.bytes_max {
            return Err(NotUnderstood::TooLarge);
        }
        let call = || {
            if is_audio { self.transcribe(service, bytes, kind) } else { self.describe(service, bytes, kind) }
        };
        let answer = self.answer(call).await?;
        let read = if is_audio { transcript(&answer) } else { description(&answer) };
        read.map(Some).ok_or_else(|| NotUnderstood::Refused("its answer has another form".to_owned()))
    }

    fn call(&self, operation: &'static str, service: &Service) -> Call {
        Call {
            method: Method::POST,
            bearer: service.key.clone(),
            ..Call::get((SERVICE, operation), service.url.clone(), self.timeout)
        }
    }

    fn transcribe(&self, service: &Service, bytes: &Bytes, kind: ContentType) -> Call {
        let file = Some((format!("voice.{}", kind.extension()), kind.as_str()));
        let parts = vec![
            Part::text("model", &*service.model),
            Part::text("response_format", "json"),
            Part { name: "file", bytes: bytes.clone(), file },
        ];
        Call { parts, ..self.call(TRANSCRIBE, service) }
    }

    fn describe(&self, service: &Service, bytes: &Bytes, kind: ContentType) -> Call {
        let url = format!("data:{};base64,{}", kind.as_str(), base64(bytes));
        let content = json!([
            { "type": "text", "text": &*self.prompt },
            { "type": "image_url", "image_url": { "url": url } },
        ]);
        let body = json!({ "model": &*service.model, "messages": [{ "role": "user", "content": content }] });
        Call { json: Some(body), ..self.call(DESCRIBE, service) }
    }

    /// The answer to a call, which is made again while the service is overloaded or fails, all within the timeout.
    async fn answer(&self, call: impl Fn() -> Call) -> Result<Value, NotUnderstood> {
        let (began, mut attempt) = (Instant::now(), 1);
        loop {
            let timeout = self.timeout.saturating_sub(began.elapsed());
            let (why, may_pass) = match self.client.send(Call { timeout, ..call() }).await {
                Ok(answer) if answer.is_success() => {
                    return answer
                        .json()
                        .ok_or_else(|| NotUnderstood::Refused("its answer is not JSON".to_owned()));
                }
                Ok(Answer { status, .. }) => {
                    (format!("it answered with {status}"), status == 429 || status >= 500)
                }
                Err(err) => (err.to_string(), true),
            };
            let pause = PAUSE * 2_u32.pow(u32::from(attempt) - 1);
            if attempt >= self.attempts || !may_pass || began.elapsed() + pause >= self.timeout {
                return Err(NotUnderstood::Refused(why));
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }
}

/// `{text, usage: {type: "duration", seconds} | {type: "tokens", total_tokens}}`; older services tell no usage.
fn transcript(answer: &Value) -> Option<Words> {
    let usage = &answer["usage"];
    let seconds = usage["seconds"].as_f64().or_else(|| answer["duration"].as_f64()).unwrap_or_default();
    Some(Words {
        text: answer["text"].as_str()?.trim().to_owned(),
        tokens: tokens(usage),
        seconds: whole(seconds),
    })
}

/// `{choices: [{message: {content}}], usage: {total_tokens}}`.
fn description(answer: &Value) -> Option<Words> {
    Some(Words {
        text: answer["choices"][0]["message"]["content"].as_str()?.trim().to_owned(),
        tokens: tokens(&answer["usage"]),
        seconds: 0,
    })
}

fn tokens(usage: &Value) -> i32 {
    usage["total_tokens"].as_i64().and_then(|tokens| i32::try_from(tokens).ok()).unwrap_or_default()
}

/// Begun seconds; those of a day at most.
#[expect(clippy::cast_possible_truncation, reason = "it is within bounds")]
fn whole(seconds: f64) -> i32 {
    seconds.ceil().clamp(0.0, 86_400.0) as i32
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_with_what_they_cost() {
        let by_seconds = json!({ "text": " Is it blue? ", "usage": { "type": "duration", "seconds": 2.1 } });
        let words = Words { text: "Is it blue?".to_owned(), tokens: 0, seconds: 3 };
        assert_eq!(transcript(&by_seconds), Some(words));
        let by_tokens = json!({ "text": "", "usage": { "type": "tokens", "total_tokens": 40 } });
        assert_eq!(transcript(&by_tokens), Some(Words { tokens: 40, ..Words::default() }));
        let seen =
            json!({ "choices": [{ "message": { "content": "A vase." } }], "usage": { "total_tokens": 90 } });
        let words = Words { text: "A vase.".to_owned(), tokens: 90, seconds: 0 };
        assert_eq!(description(&seen), Some(words));
        assert_eq!((transcript(&json!({})), description(&json!({ "choices": [] }))), (None, None));
    }
}
