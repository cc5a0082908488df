//! The secret settings, each with its `_FILE` variant.

use super::{InvalidSetting, resolve};
use clap::Args;
use dmrelay_domain::secret::Secret;
use std::path::PathBuf;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $flag:literal, $env:literal, $file_flag:literal, $file_env:literal, $help:literal) => {
        $(#[$doc])*
        #[derive(Clone, Default, Args)]
        #[group(skip)]
        pub struct $name {
            #[arg(id = $flag, long = $flag, env = $env, hide_env_values = true,
                help = concat!($help, ". As a flag it is visible to every user of the machine; not so in the environment or a file"))]
            value: Option<String>,
            #[arg(id = $file_flag, long = $file_flag, env = $file_env, help = concat!("A file that contains ", $env))]
            file: Option<PathBuf>,
        }

        impl $name {
            /// The variable.
            pub const NAME: &'static str = $env;

            /// Sets the value, as if it had been given.
            pub fn of(value: &str) -> Self {
                Self { value: Some(value.to_owned()), file: None }
            }

            /// The secret, if it was given.
            ///
            /// # Errors
            /// If its file cannot be read.
            pub fn get(&self) -> Result<Option<Secret<String>>, InvalidSetting> {
                resolve($env, self.value.as_ref(), self.file.as_ref())
            }

            /// The secret.
            ///
            /// # Errors
            /// If it was not given.
            pub fn require(&self) -> Result<Secret<String>, InvalidSetting> {
                self.get()?.ok_or_else(|| InvalidSetting {
                    name: $env,
                    what: concat!("is required (or ", $file_env, ")").to_owned(),
                })
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(if self.value.is_some() { "given" } else { "not given" })
            }
        }
    };
}

secret!(
    /// `DATABASE_URL`.
    DatabaseUrlArg, "database-url", "DATABASE_URL", "database-url-file", "DATABASE_URL_FILE",
    "postgres://user:password@host/database, or sqlite://path?mode=rwc"
);
secret!(
    /// `REDIS_URL`.
    RedisUrlArg, "redis-url", "REDIS_URL", "redis-url-file", "REDIS_URL_FILE",
    "redis://host:6379/0, or rediss:// for TLS"
);
secret!(
    /// `BOOTSTRAP_API_KEY`.
    BootstrapKeyArg, "bootstrap-api-key", "BOOTSTRAP_API_KEY", "bootstrap-api-key-file", "BOOTSTRAP_API_KEY_FILE",
    "An API key with all permissions in all subaccounts, for bootstrapping; at least 32 characters"
);
secret!(
    /// `META_APP_SECRETS`.
    MetaAppSecretsArg, "meta-app-secrets", "META_APP_SECRETS", "meta-app-secrets-file", "META_APP_SECRETS_FILE",
    "App secrets of Meta apps, comma-separated; a webhook signed with any of them is accepted for every account"
);
secret!(
    /// `META_VERIFY_TOKEN`.
    MetaVerifyTokenArg, "meta-verify-token", "META_VERIFY_TOKEN", "meta-verify-token-file", "META_VERIFY_TOKEN_FILE",
    "The verification token of the webhook at /webhooks/instagram"
);
secret!(
    /// `INSTAGRAM_APP_SECRET`.
    InstagramAppSecretArg, "instagram-app-secret", "INSTAGRAM_APP_SECRET", "instagram-app-secret-file", "INSTAGRAM_APP_SECRET_FILE",
    "The Instagram app secret; it also verifies webhooks, as if it were in META_APP_SECRETS"
);
secret!(
    /// `FACEBOOK_APP_SECRET`.
    FacebookAppSecretArg, "facebook-app-secret", "FACEBOOK_APP_SECRET", "facebook-app-secret-file", "FACEBOOK_APP_SECRET_FILE",
    "The app secret for Facebook Login; it also verifies webhooks, as if it were in META_APP_SECRETS"
);
secret!(
    /// `RETELL_API_KEY`.
    RetellApiKeyArg, "retell-api-key", "RETELL_API_KEY", "retell-api-key-file", "RETELL_API_KEY_FILE",
    "Retell's API key"
);
secret!(
    /// `ENCRYPTION_KEYS`.
    EncryptionKeysArg, "encryption-keys", "ENCRYPTION_KEYS", "encryption-keys-file", "ENCRYPTION_KEYS_FILE",
    "Keys for secrets at rest, `id:base64 of 32 bytes`, comma-separated; the first one encrypts"
);
secret!(
    /// `SMTP_URL`.
    SmtpUrlArg, "smtp-url", "SMTP_URL", "smtp-url-file", "SMTP_URL_FILE",
    "The mail server of notifications: smtps://user:password@host, or smtp://user:password@host?tls=required for STARTTLS"
);
secret!(
    /// `MEDIA_S3_SECRET_ACCESS_KEY`.
    MediaS3SecretArg, "media-s3-secret-access-key", "MEDIA_S3_SECRET_ACCESS_KEY",
    "media-s3-secret-access-key-file", "MEDIA_S3_SECRET_ACCESS_KEY_FILE",
    "The secret of MEDIA_S3_ACCESS_KEY_ID"
);
secret!(
    /// `TRANSCRIPTION_API_KEY`.
    TranscriptionKeyArg, "transcription-api-key", "TRANSCRIPTION_API_KEY",
    "transcription-api-key-file", "TRANSCRIPTION_API_KEY_FILE",
    "The API key of TRANSCRIPTION_URL, if it needs one"
);
secret!(
    /// `VISION_API_KEY`.
    VisionKeyArg, "vision-api-key", "VISION_API_KEY", "vision-api-key-file", "VISION_API_KEY_FILE",
    "The API key of VISION_URL, if it needs one"
);
secret!(
    /// `OIDC_CLIENT_SECRET`.
    OidcClientSecretArg, "oidc-client-secret", "OIDC_CLIENT_SECRET", "oidc-client-secret-file", "OIDC_CLIENT_SECRET_FILE",
    "The secret of the console at the identity provider, if it has one"
);
secret!(
    /// `JWT_SECRET`.
    JwtSecretArg, "jwt-secret", "JWT_SECRET", "jwt-secret-file", "JWT_SECRET_FILE",
    "The secret that signs HS256 tokens; at least 32 characters. Not together with JWKS_URL"
);
