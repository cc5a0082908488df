//! The data folder: the database, and the keys of the demo.

use anyhow::Context as _;
use dmrelay_vault::Vault;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What the demo stores besides the database. Created at the first start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Keys {
    /// An API key with all permissions.
    pub(crate) api_key: String,
    /// Encrypts secrets in the database.
    pub(crate) encryption: String,
    /// The app secret that signs the simulated Meta's webhooks.
    pub(crate) app_secret: String,
    /// The verification token.
    pub(crate) verify_token: String,
    /// The demo account's access token.
    pub(crate) access_token: String,
}

/// The folder, created if missing, and its keys.
pub(crate) fn open(folder: &Path) -> anyhow::Result<Keys> {
    // It holds the customers' messages and the keys: nobody else on the machine reads it. A folder that was there before
    // belongs to whoever made it.
    let mut private = DirBuilder::new();
    private.recursive(true).mode(0o700);
    private
        .create(folder)
        .with_context(|| format!("--data: cannot create the folder {}", folder.display()))?;
    let mode = fs::metadata(folder).map_or(0, |folder| folder.permissions().mode());
    if mode & 0o077 != 0 {
        tracing::warn!(folder = %folder.display(), "others on this machine may read the folder of messages and keys");
    }
    let path = folder.join("keys.json");
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{} is corrupt", path.display())),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => make(&path),
        Err(err) => Err(err).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The path of the database.
pub(crate) fn database_url(folder: &Path) -> String {
    let path: PathBuf = folder.join("dmrelay.db");
    format!("sqlite://{}?mode=rwc", path.display())
}

fn make(path: &Path) -> anyhow::Result<Keys> {
    let keys = Keys {
        api_key: format!("dmr_{}", random()),
        encryption: Vault::generate("k1"),
        app_secret: random(),
        verify_token: random(),
        access_token: format!("IGAA{}", random()),
    };
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(&serde_json::to_vec_pretty(&keys)?));
    written.with_context(|| format!("--data: cannot write {}", path.display()))?;
    Ok(keys)
}

pub(crate) fn random() -> String {
    let bytes: [u8; 24] = rand::random();
    hex::encode(bytes)
}
