use super::*;
use clap::Parser;
use dmrelay_runtime::metrics::Process;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    settings: MediaFetchSettings,
}

fn fetcher(allows_private: bool, more: &[&str]) -> Fetcher {
    let allows = if allows_private { "true" } else { "false" };
    let args = ["test", "--media-private-addresses", allows, "--media-bytes-max", "4096"];
    let args = Args::parse_from(args.iter().chain(more));
    Fetcher::new(&args.settings, Arc::new(Metrics::new(Process::Command).unwrap())).unwrap()
}

/// A server that answers every call with these bytes, and then sends nothing more if it is `slow`. Gives its address.
async fn server(answer: Vec<u8>, slow: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&answer).await;
                if slow {
                    tokio::time::sleep(Duration::from_secs(30)).await;
                }
            });
        }
    });
    format!("http://127.0.0.1:{port}/ig_messaging_cdn/?asset_id=1")
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn only_hosts_of_metas_are_asked() {
    let fetcher = fetcher(false, &[]);
    for url in [
        "https://lookaside.fbsbx.com/ig_messaging_cdn/?asset_id=1",
        "https://scontent-fra3-1.cdninstagram.com/v/a.jpg?oe=0",
        "https://video.xx.FBCDN.net/a.mp4",
        "https://fbcdn.net./a",
    ] {
        assert!(fetcher.checked(url).is_ok(), "{url}");
    }
    for url in [
        "http://lookaside.fbsbx.com/a",
        "https://lookaside.fbsbx.com:8443/a",
        "https://evil-fbcdn.net/a",
        "https://fbcdn.net.evil.example/a",
        "https://lookaside.fbsbx.com@evil.example/a",
        "https://evil.example/?fbcdn.net",
        "https://127.0.0.1/a",
        "https://[::1]/a",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/a",
        "https://fbcdn.net.localhost/a",
        "ftp://fbcdn.net/a",
        "file:///etc/passwd",
        "fbcdn.net",
        "",
    ] {
        let refused = fetcher.fetch(url, false).await;
        assert!(matches!(refused, Err(NotFetched::Never(_))), "{url}: {refused:?}");
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_this_machine_is_not_asked() {
    let url = server(answer("200 OK", "", JPEG), false).await.replace("127.0.0.1", "localhost");
    let call = Call::get((SERVICE, OPERATION), Url::parse(&url).unwrap(), Duration::from_secs(5));
    let refused = fetcher(false, &[]).client.send(call).await.unwrap_err();
    assert!(refused.to_string().contains("has no public address"), "{refused}");
}

#[tokio::test]
async fn what_the_server_answers_is_checked() {
    let fetcher = fetcher(true, &["--media-hosts", "127.0.0.1"]);
    let get = async |answer: Vec<u8>| fetcher.fetch(&server(answer, false).await, false).await;
    // What it says of itself is not believed.
    let fetched = get(answer("200 OK", "content-type: text/html\r\n", JPEG)).await.unwrap();
    assert_eq!((fetched.kind, &fetched.bytes[..]), (ContentType::Jpeg, JPEG));
    for (served, what) in [
        (answer("403 Forbidden", "", b"URL signature expired"), "expired"),
        (answer("404 Not Found", "", b""), "expired"),
        (answer("500 Internal Server Error", "", b""), "later"),
        (answer("429 Too Many Requests", "", b""), "later"),
        (answer("302 Found", "location: http://169.254.169.254/\r\n", b""), "never"),
        (answer("302 Found", "location: http://localhost/\r\n", b""), "never"),
        // Always to itself.
        (answer("302 Found", "location: /again\r\n", b""), "never"),
        (answer("304 Not Modified", "", b""), "later"),
        (answer("200 OK", "", b"<html>log in</html>"), "never"),
        (answer("200 OK", "content-encoding: gzip\r\n", b"\x1f\x8b\x08\0\0\0\0\0"), "never"),
        (answer("200 OK", "", &[JPEG, &[0; 5_000]].concat()), "never"),
        // One without a length is counted as it comes.
        ([b"HTTP/1.1 200 OK\r\n\r\n", JPEG, &vec![0; 500_000]].concat(), "never"),
    ] {
        let told = match get(served.clone()).await {
            Err(NotFetched::Expired(_)) => "expired",
            Err(NotFetched::Later(_)) => "later",
            Err(NotFetched::Never(_)) => "never",
            Ok(_) => "fetched",
        };
        assert_eq!(told, what, "{:?}", String::from_utf8_lossy(&served[..served.len().min(80)]));
    }
    // Nobody listens any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(matches!(fetcher.fetch(&format!("http://{gone}/"), false).await, Err(NotFetched::Later(_))));
}

#[tokio::test]
async fn a_body_that_does_not_end_is_waited_for_so_long() {
    let fetcher = fetcher(true, &["--media-hosts", "127.0.0.1", "--media-timeout", "300ms"]);
    let url = server(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n\xff\xd8".to_vec(), true).await;
    let began = Instant::now();
    assert!(matches!(fetcher.fetch(&url, false).await, Err(NotFetched::Later(_))));
    assert!(began.elapsed() < Duration::from_secs(10));
}
