//! The limits of uploads: files that are to be sent to customers.

use super::duration::{parse as duration, positive};
use clap::Args;
use std::time::Duration;

/// Limits of uploads to the API.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Uploads")]
#[expect(clippy::struct_field_names, reason = "they are named like their settings")]
pub struct UploadSettings {
    /// Maximum size of a file that is uploaded to be sent, in bytes. Meta takes images of 8 MiB, and other files of 25 MiB.
    #[arg(long, env = "UPLOAD_BYTES_MAX", default_value_t = 25 * 1024 * 1024)]
    pub upload_bytes_max: usize,
    /// Maximum total size of uploads in the process, in bytes; beyond it the API returns 503.
    #[arg(long, env = "UPLOAD_BYTES_READING", default_value_t = 128 * 1024 * 1024)]
    pub upload_bytes_reading: usize,
    /// Maximum total size of uploads of one subaccount, in bytes; beyond it the API returns 503.
    #[arg(long, env = "UPLOAD_BYTES_PER_SUBACCOUNT", default_value_t = 64 * 1024 * 1024)]
    pub upload_bytes_per_subaccount: usize,
    /// Timeout of the body of an upload.
    #[arg(long, env = "UPLOAD_BODY_TIMEOUT", default_value = "30s", value_parser = positive)]
    pub upload_body_timeout: Duration,
    /// Timeout for checking a file that a message references by URL. Files that Instagram would not accept are rejected; if it does not
    /// respond in time, the message is sent and Meta decides. `0s` disables the check.
    #[arg(long, env = "UPLOAD_CHECK_TIMEOUT", default_value = "1s", value_parser = duration)]
    pub upload_check_timeout: Duration,
    /// How long the same file is not uploaded to Meta again. How long Meta keeps one is not known for certain; 90 days have been reported.
    #[arg(long, env = "UPLOAD_REUSE", default_value = "80d", value_parser = duration)]
    pub upload_reuse: Duration,
    /// Timeout of handing an upload to Meta.
    #[arg(long, env = "UPLOAD_TIMEOUT", default_value = "25s", value_parser = positive)]
    pub upload_timeout: Duration,
}
