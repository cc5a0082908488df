//! The settings of media: what customers send besides text.

use super::duration::{days, positive};
use super::{InvalidSetting, MediaS3SecretArg};
use clap::Args;
use std::time::Duration;
use url::Url;

/// Where media are kept, for all processes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Media")]
#[expect(clippy::struct_field_names, reason = "they are named like their settings")]
pub struct MediaSettings {
    /// Where photos, videos, voice messages and files of customers are kept: a folder that the API and all workers share, or
    /// `s3://bucket` or `s3://bucket/prefix`. Empty: nowhere; only the links at Meta are stored, which expire.
    #[arg(long, env = "MEDIA_STORE", default_value = Self::DEFAULT_STORE)]
    pub media_store: String,
    /// The address of an S3-compatible service; Amazon's if not set.
    #[arg(long, env = "MEDIA_S3_ENDPOINT")]
    pub media_s3_endpoint: Option<Url>,
    /// The region of the bucket.
    #[arg(long, env = "MEDIA_S3_REGION", default_value = "us-east-1")]
    pub media_s3_region: String,
    /// The access key of the bucket.
    #[arg(long, env = "MEDIA_S3_ACCESS_KEY_ID")]
    pub media_s3_access_key_id: Option<String>,
    /// The secret of the access key.
    #[command(flatten)]
    pub media_s3_secret: MediaS3SecretArg,
    /// Timeout of a call to the store.
    #[arg(long, env = "MEDIA_STORE_TIMEOUT", default_value = "60s", value_parser = positive)]
    pub media_store_timeout: Duration,
}

/// How a worker fetches media.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Media")]
pub struct MediaFetchSettings {
    /// Hosts from which media are fetched, with all their subdomains, comma-separated.
    #[arg(
        long,
        env = "MEDIA_HOSTS",
        value_delimiter = ',',
        default_value = "lookaside.fbsbx.com,cdninstagram.com,fbcdn.net"
    )]
    pub media_hosts: Vec<String>,
    /// The largest medium that is fetched, in bytes. A worker may hold as many of them as MEDIA_CONCURRENCY in memory.
    #[arg(long, env = "MEDIA_BYTES_MAX", default_value_t = 26 * 1024 * 1024, value_parser = clap::value_parser!(u32).range(1_024..=104_857_600))]
    pub media_bytes_max: u32,
    /// Timeout of fetching a medium.
    #[arg(long, env = "MEDIA_TIMEOUT", default_value = "60s", value_parser = positive)]
    pub media_timeout: Duration,
    /// Delay after the first failed attempt to fetch a medium, of which half is random; it doubles with each, up to 4 hours.
    #[arg(long, env = "MEDIA_RETRY", default_value = "1m", value_parser = positive)]
    pub media_retry: Duration,
    /// Maximum number of attempts to fetch a medium: by default over 4 to 8 hours.
    #[arg(long, env = "MEDIA_ATTEMPTS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub media_attempts: u32,
    /// How many media a worker fetches concurrently.
    #[arg(long, env = "MEDIA_CONCURRENCY", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub media_concurrency: u8,
    /// Fetch media over plain http and from private addresses: `true` or `false`. For development: with it, whoever can name a URL in
    /// a webhook reaches what only this machine reaches.
    #[arg(long, env = "MEDIA_PRIVATE_ADDRESSES", default_value_t = false, action = clap::ArgAction::Set)]
    pub media_private_addresses: bool,
    /// Retention of media; at least 2d. Kept as long as their messages if not set.
    #[arg(long, env = "RETENTION_MEDIA", value_parser = days)]
    pub retention_media: Option<Duration>,
}

impl MediaSettings {
    /// The folder, in the one where the process runs.
    pub const DEFAULT_STORE: &str = "media";

    /// Whether media are kept at all.
    pub fn is_kept(&self) -> bool {
        !self.media_store.trim().is_empty()
    }

    /// What is wrong with the place.
    pub fn invalid(what: impl Into<String>) -> InvalidSetting {
        InvalidSetting { name: "MEDIA_STORE", what: what.into() }
    }
}
