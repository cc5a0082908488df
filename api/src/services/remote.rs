//! Files that messages name by address: what can be known of them is checked before they are sent, since Meta says "sent" first and fetches
//! them later. What cannot be found out in a moment is left to Meta.

use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use dmrelay_domain::outgoing::{addresses, cannot_be_sent_as};
use dmrelay_runtime::http::{Answer, Call, Client, Method};
use dmrelay_runtime::public::receiver_url;
use futures::future::join_all;
use serde_json::Value;
use std::time::Duration;

/// Checks the files that a message names by address; `pointer` is where the message is in the body.
///
/// # Errors
/// 422 for what Meta would not take: of a type or size that Instagram does not send.
pub(crate) async fn check(state: &ApiState, message: &Value, pointer: &str) -> Result<(), Problem> {
    let time = state.options.limits.uploads.upload_check_timeout;
    if time.is_zero() {
        return Ok(());
    }
    let looks = addresses(message).into_iter().map(|(at, kind, url)| {
        let client = &state.remote;
        async move { (at, look(client, (url, false), kind, time).await) }
    });
    let mut errors = ValidationErrors::default();
    for (at, found) in join_all(looks).await {
        if let Err(what) = found {
            errors.at(&format!("{pointer}{at}"), what);
        }
    }
    errors.end()
}

/// Looks at a file without fetching it. What does not answer, or not in time, may be there for Meta.
async fn look(
    client: &Client,
    (url, allows_private): (&str, bool),
    kind: &str,
    time: Duration,
) -> Result<(), String> {
    let Ok(url) = receiver_url(url, allows_private) else { return Ok(()) };
    let call = Call { method: Method::HEAD, ..Call::get(("receiver", "look"), url, time) };
    match client.send(call).await {
        Ok(answer) => check_answer(&answer, kind),
        Err(_) => Ok(()),
    }
}

fn check_answer(answer: &Answer, kind: &str) -> Result<(), String> {
    match answer.status {
        200 => {
            let media_type = answer.content_type.as_deref().unwrap_or_default();
            let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            cannot_be_sent_as(kind, &media_type, answer.content_length).map_or(Ok(()), Err)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dmrelay_runtime::metrics::{Metrics, Process};
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn served(head: &'static str, kind: &str) -> Result<(), String> {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a", server.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut request = [0; 1_024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"HEAD /a "));
            stream.write_all(head.as_bytes()).await.unwrap();
        });
        let metrics = Arc::new(Metrics::new(Process::Command).unwrap());
        let client = Client::for_receivers(Duration::from_secs(2), true, metrics).unwrap();
        let found = look(&client, (&url, true), kind, Duration::from_secs(5)).await;
        serving.await.unwrap();
        found
    }

    #[tokio::test]
    async fn what_meta_would_not_take_is_known_before_it_is_sent() {
        let audio = "HTTP/1.1 200 OK\r\nContent-Type: audio/ogg; codecs=opus\r\nContent-Length: 10\r\n\r\n";
        assert!(served(audio, "audio").await.is_err_and(|what| what.contains("no audio/ogg as audio")));
        let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n";
        assert!(served(page, "image").await.is_err_and(|what| what.contains("no text/html as image")));
        let large = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 9000000\r\n\r\n";
        assert!(served(large, "image").await.is_err_and(|what| what.contains("has 9000000 bytes")));
        for unknown in [
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 9\r\n\r\n",
            // Some answer GET only.
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert_eq!(served(unknown, "image").await, Ok(()), "{unknown}");
        }
    }
}
