//! Fetching media from Meta. The address comes with a webhook, so that it is checked as if anybody had written it: a host of Meta's, https, a
//! public address whatever the name resolves to, redirects only to the same, a bound on size and time.

use crate::kind::{ContentType, kind_of};
use bytes::Bytes;
use dmrelay_runtime::http::{Call, Client, Failure};
use dmrelay_runtime::metrics::Metrics;
use dmrelay_runtime::public;
use dmrelay_runtime::settings::MediaFetchSettings;
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::{Host, Url};

/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Addresses that one leads to.
const REDIRECTS_MAX: usize = 3;

const SERVICE: &str = "media";
const OPERATION: &str = "fetch";

/// Fetches media; cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    client: Client,
    hosts: Arc<[String]>,
    timeout: Duration,
    allows_private: bool,
}

/// A medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its bytes.
    pub bytes: Bytes,
    /// What they are.
    pub kind: ContentType,
}

/// Why a medium was not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFetched {
    /// It may be tried again.
    #[error("{0}")]
    Later(String),
    /// Its link has expired, or it was deleted.
    #[error("{0}")]
    Expired(String),
    /// It is not to be fetched: from elsewhere, too large, or no medium.
    #[error("{0}")]
    Never(String),
}

impl Fetcher {
    /// A fetcher with these settings.
    ///
    /// # Errors
    /// If the system's TLS roots cannot be read.
    pub fn new(settings: &MediaFetchSettings, metrics: Arc<Metrics>) -> Result<Self, String> {
        let most = usize::try_from(settings.media_bytes_max).unwrap_or(usize::MAX);
        let allows_private = settings.media_private_addresses;
        let client = Client::for_media(CONNECT_TIMEOUT, (allows_private, most), metrics)?;
        client.expect_calls(SERVICE, &[OPERATION]);
        let host = |host: &String| host.trim().trim_matches('.').to_ascii_lowercase();
        let hosts = settings.media_hosts.iter().map(host).filter(|host| !host.is_empty()).collect();
        Ok(Self { client, hosts, timeout: settings.media_timeout, allows_private })
    }

    /// The longest that fetching takes.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Fetches a medium. `is_audio` tells what Meta says of it.
    ///
    /// # Errors
    /// [`NotFetched`].
    pub async fn fetch(&self, url: &str, is_audio: bool) -> Result<Fetched, NotFetched> {
        let began = Instant::now();
        let mut url = self.checked(url)?;
        for _ in 0..=REDIRECTS_MAX {
            let left = self.timeout.saturating_sub(began.elapsed());
            let call = Call::get((SERVICE, OPERATION), url.clone(), left);
            let answer = self.client.send(call).await.map_err(|err| match err {
                Failure::TooLarge => NotFetched::Never("it is too large".to_owned()),
                err => NotFetched::Later(err.to_string()),
            })?;
            match (answer.status, answer.location) {
                (200, _) => {
                    let kind = kind_of(&answer.body, is_audio);
                    let kind = kind
                        .ok_or_else(|| NotFetched::Never("it is no photo, video, audio or PDF".to_owned()))?;
                    return Ok(Fetched { bytes: answer.body, kind });
                }
                // `URL signature expired` comes with 403.
                (status @ (403 | 404 | 410), _) => {
                    return Err(NotFetched::Expired(format!("Meta's server answered with {status}")));
                }
                // Wherever it leads is checked like the first address.
                (300..=399, Some(to)) => {
                    let to = url
                        .join(&to)
                        .map_err(|err| NotFetched::Never(format!("it leads to no address: {err}")))?;
                    url = self.checked(to.as_str())?;
                }
                (status, _) => {
                    return Err(NotFetched::Later(format!("Meta's server answered with {status}")));
                }
            }
        }
        Err(NotFetched::Never("it leads from one address to the next".to_owned()))
    }

    /// The address, if media may be fetched from there.
    fn checked(&self, url: &str) -> Result<Url, NotFetched> {
        let url = public::receiver_url(url, self.allows_private).map_err(NotFetched::Never)?;
        let is_known = match url.host() {
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                // On the boundary of a label: `evil-fbcdn.net` is somebody else's.
                self.hosts.iter().any(|host| name == *host || name.ends_with(&format!(".{host}")))
            }
            Some(Host::Ipv4(address)) => self.allows_private && self.hosts.contains(&address.to_string()),
            _ => false,
        };
        let port = url.port_or_known_default();
        if !is_known || (port != Some(443) && !self.allows_private) {
            return Err(NotFetched::Never("media are not fetched from there (MEDIA_HOSTS)".to_owned()));
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests;
