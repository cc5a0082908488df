//! The store of media: a folder, or a bucket of an S3-compatible service.

use bytes::Bytes;
use dmrelay_runtime::http::install_tls;
use dmrelay_runtime::settings::{InvalidSetting, MediaSettings};
use futures::stream::BoxStream;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, GetOptions, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Storage {
    inner: Arc<dyn ObjectStore>,
    timeout: Duration,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It has no object of this name.
    #[error("the store has no such object")]
    Missing,
    /// Anything else.
    #[error("the store of media failed: {0}")]
    Failed(String),
}

/// What the store gives: a stream of the bytes that were asked for, and the size of the whole.
pub struct Content {
    /// The bytes.
    pub stream: BoxStream<'static, Result<Bytes, object_store::Error>>,
    /// The size of the whole, in bytes.
    pub size: u64,
    /// Which of them come.
    pub range: Range<u64>,
}

impl Storage {
    /// The store of these settings; `None` if media are not kept.
    ///
    /// # Errors
    /// If it cannot be there.
    pub fn open(settings: &MediaSettings) -> Result<Option<Self>, InvalidSetting> {
        if !settings.is_kept() {
            return Ok(None);
        }
        let place = settings.media_store.trim();
        let inner: Arc<dyn ObjectStore> = match place.strip_prefix("s3://") {
            Some(bucket) => bucket_of(settings, bucket)?,
            None if place.contains("://") => {
                return Err(MediaSettings::invalid("must be a folder, or s3://bucket or s3://bucket/prefix"));
            }
            None => folder(place)?,
        };
        Ok(Some(Self { inner, timeout: settings.media_store_timeout }))
    }

    /// The longest that a call takes, with what it tries again by itself.
    pub fn timeout(&self) -> Duration {
        self.timeout * 2
    }

    /// Stores an object.
    ///
    /// # Errors
    /// What the store says.
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.inner.put(&Path::from(name), PutPayload::from_bytes(bytes)).await.map_err(failed)?;
        Ok(())
    }

    /// An object, or these bytes of it: as many as there are.
    ///
    /// # Errors
    /// What the store says.
    pub async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Content, StoreError> {
        let options = GetOptions { range: range.map(Into::into), ..GetOptions::default() };
        let found = self.inner.get_opts(&Path::from(name), options).await.map_err(failed)?;
        let (size, range) = (found.meta.size, found.range.clone());
        Ok(Content { stream: found.into_stream(), size, range })
    }

    /// Deletes an object. One that is not there is deleted already.
    ///
    /// # Errors
    /// What the store says.
    pub async fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.inner.delete(&Path::from(name)).await.map_err(failed) {
            Ok(()) | Err(StoreError::Missing) => Ok(()),
            Err(err) => Err(err),
        }
    }
}

fn failed(err: object_store::Error) -> StoreError {
    match err {
        object_store::Error::NotFound { .. } => StoreError::Missing,
        err => StoreError::Failed(err.to_string()),
    }
}

fn folder(place: &str) -> Result<Arc<dyn ObjectStore>, InvalidSetting> {
    let cannot = |err: String| MediaSettings::invalid(format!("the folder {place} cannot be used: {err}"));
    std::fs::create_dir_all(place).map_err(|err| cannot(err.to_string()))?;
    let store = LocalFileSystem::new_with_prefix(place).map_err(|err| cannot(err.to_string()))?;
    // Folders of accounts go with their last medium; and what is said to be stored survives a loss of power.
    Ok(Arc::new(store.with_automatic_cleanup(true).with_fsync(true)))
}

fn bucket_of(settings: &MediaSettings, place: &str) -> Result<Arc<dyn ObjectStore>, InvalidSetting> {
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let secret = settings.media_s3_secret.get()?;
    let (Some(id), Some(secret)) = (&settings.media_s3_access_key_id, secret) else {
        let what = "is required with s3:// in MEDIA_STORE, and so is MEDIA_S3_SECRET_ACCESS_KEY";
        return Err(InvalidSetting { name: "MEDIA_S3_ACCESS_KEY_ID", what: what.to_owned() });
    };
    install_tls();
    let near = |url: &&Url| dmrelay_runtime::http::service_url(url.as_str()).is_ok();
    if settings.media_s3_endpoint.as_ref().is_some_and(|url| !near(&url)) {
        let what = "must be https, or http to this machine or a private network".to_owned();
        return Err(InvalidSetting { name: "MEDIA_S3_ENDPOINT", what });
    }
    let options = ClientOptions::new().with_timeout(settings.media_store_timeout).with_allow_http(true);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&settings.media_s3_region)
        .with_access_key_id(id)
        .with_secret_access_key(secret.expose())
        .with_retry(RetryConfig { retry_timeout: settings.media_store_timeout, ..RetryConfig::default() })
        .with_client_options(options);
    if let Some(endpoint) = &settings.media_s3_endpoint {
        builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
    }
    let store = builder.build().map_err(|err| MediaSettings::invalid(err.to_string()))?;
    Ok(if prefix.is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;

    async fn read(storage: &Storage, name: &str, range: Option<Range<u64>>) -> (Vec<u8>, u64) {
        let content = storage.get(name, range).await.unwrap();
        let chunks: Vec<Bytes> = content.stream.try_collect().await.unwrap();
        (chunks.concat(), content.size)
    }

    #[tokio::test]
    async fn a_folder_keeps_and_forgets() {
        let folder = tempfile::tempdir().unwrap();
        let inner = super::folder(folder.path().to_str().unwrap()).unwrap();
        let storage = Storage { inner, timeout: Duration::from_secs(5) };
        storage.put("account/name", Bytes::from_static(b"0123456789")).await.unwrap();
        assert_eq!(read(&storage, "account/name", None).await, (b"0123456789".to_vec(), 10));
        assert_eq!(read(&storage, "account/name", Some(2..5)).await, (b"234".to_vec(), 10));
        storage.delete("account/name").await.unwrap();
        storage.delete("account/name").await.unwrap();
        assert!(matches!(storage.get("account/name", None).await, Err(StoreError::Missing)));
        // A name stays within the folder, whatever it is.
        storage.put("../../outside", Bytes::from_static(b"x")).await.unwrap();
        assert!(!folder.path().parent().unwrap().join("outside").exists());
    }
}
