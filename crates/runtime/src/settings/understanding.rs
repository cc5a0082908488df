//! The settings of understanding: voice messages and pictures in words, since agents read text only.

use super::duration::positive;
use super::{TranscriptionKeyArg, VisionKeyArg};
use crate::http::service_url;
use clap::Args;
use std::time::Duration;
use url::Url;

/// Who puts media into words, and how long a question waits for it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Understanding media")]
pub struct UnderstandingSettings {
    /// Transcribes voice messages: an OpenAI-compatible endpoint, e.g. `https://api.openai.com/v1/audio/transcriptions`. They are
    /// not transcribed if not set. It needs MEDIA_STORE.
    #[arg(long, env = "TRANSCRIPTION_URL", value_parser = service_url)]
    pub transcription_url: Option<Url>,
    /// The model of TRANSCRIPTION_URL.
    #[arg(long, env = "TRANSCRIPTION_MODEL", default_value = "whisper-1")]
    pub transcription_model: String,
    /// Its key.
    #[command(flatten)]
    pub transcription_api_key: TranscriptionKeyArg,
    /// Describes pictures: an OpenAI-compatible endpoint, e.g. `https://api.openai.com/v1/chat/completions`. They are not described
    /// if not set. It needs MEDIA_STORE.
    #[arg(long, env = "VISION_URL", value_parser = service_url)]
    pub vision_url: Option<Url>,
    /// The model of VISION_URL.
    #[arg(long, env = "VISION_MODEL", default_value = "gpt-4o-mini")]
    pub vision_model: String,
    /// Its key.
    #[command(flatten)]
    pub vision_api_key: VisionKeyArg,
    /// What the model is told beside the picture.
    #[arg(long, env = "VISION_PROMPT", default_value = Self::DEFAULT_PROMPT)]
    pub vision_prompt: String,
    /// How long after its arrival a voice message or picture may delay the question to the agent while it is processed.
    /// The agent is then asked without the transcript or description.
    #[arg(long, env = "UNDERSTANDING_WAIT", default_value = "20s", value_parser = positive)]
    pub understanding_wait: Duration,
    /// Timeout of putting a voice message or picture into words, with all attempts.
    #[arg(long, env = "UNDERSTANDING_TIMEOUT", default_value = "18s", value_parser = positive)]
    pub understanding_timeout: Duration,
    /// Maximum number of attempts: an overloaded or failing service is asked again.
    #[arg(long, env = "UNDERSTANDING_ATTEMPTS", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=10))]
    pub understanding_attempts: u8,
    /// How many voice messages and pictures a worker puts into words concurrently; a quarter of them of one account. Four times as many may
    /// wait for it; the rest goes without.
    #[arg(long, env = "UNDERSTANDING_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=200))]
    pub understanding_concurrency: u8,
    /// The largest voice message or picture that is sent there, in bytes.
    #[arg(long, env = "UNDERSTANDING_BYTES_MAX", default_value_t = 10 * 1024 * 1024, value_parser = clap::value_parser!(u32).range(1_024..=104_857_600))]
    pub understanding_bytes_max: u32,
}

impl UnderstandingSettings {
    const DEFAULT_PROMPT: &str = "A customer sent this picture to a business. Describe in at most three sentences what it shows, \
        and quote the text in it.";
}
