use super::*;
use axum::routing::get;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Whatever takes longer than this has failed.
const TIMEOUT: Duration = Duration::from_secs(10);

const OPTIONS: ListenerOptions = ListenerOptions {
    first_header_timeout: TIMEOUT,
    header_timeout: TIMEOUT,
    per_peer: 100,
    trusted: Vec::new(),
    connections: 100,
};

/// A listener with two routes: `/` returns the peer; `/slow` signals its start and waits for permission to
/// end.
struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
    begun: mpsc::UnboundedReceiver<()>,
    release: Arc<Notify>,
}

impl Server {
    async fn start(limits: ListenerOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (begin, begun) = mpsc::unbounded_channel();
        let release = Arc::new(Notify::new());
        let released = release.clone();
        let slow = move || async move {
            begin.send(()).unwrap();
            released.notified().await;
            "at last"
        };
        let who = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
        let router = Router::new().route("/", get(who)).route("/slow", get(slow));
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, router, limits, stop.clone()));
        Self { address, stop, task, begun, release }
    }

    async fn client(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ended(self) {
        timeout(TIMEOUT, self.task).await.unwrap().unwrap().unwrap();
    }
}

async fn send(client: &mut TcpStream, text: &str) {
    client.write_all(text.as_bytes()).await.unwrap();
}

async fn ask(client: &mut TcpStream, path: &str) {
    send(client, &format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
}

/// One response of a route: its head and its body.
async fn answer(client: &mut TcpStream) -> (String, String) {
    let read = async {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8(bytes.clone()).unwrap();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if body.len() == length.parse::<usize>().unwrap() {
                    return (head.to_owned(), body.to_owned());
                }
            }
            assert_ne!(client.read_buf(&mut bytes).await.unwrap(), 0, "closed after {text:?}");
        }
    };
    timeout(TIMEOUT, read).await.unwrap()
}

/// Everything received until the server closes the connection.
async fn rest(client: &mut TcpStream) -> String {
    let mut text = String::new();
    timeout(TIMEOUT, client.read_to_string(&mut text)).await.expect("not closed").unwrap();
    text
}

#[tokio::test]
async fn a_slow_head_is_cut_off_even_if_it_trickles() {
    let header_timeout = Duration::from_millis(300);
    let server = Server::start(ListenerOptions { header_timeout, ..OPTIONS }).await;
    let started = Instant::now();
    let (mut silent, mut half) = (server.client().await, server.client().await);
    send(&mut half, "GET / HTTP/1.1\r\nhost: test\r\n").await;
    let (mut read, mut write) = server.client().await.into_split();
    let trickle = async {
        write.write_all(b"GET / HTTP/1.1\r\n").await?;
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        loop {
            beat.tick().await;
            write.write_all(b"x-a: b\r\n").await?;
        }
    };
    let mut text = Vec::new();
    let cut_off = async {
        tokio::select! {
            ended = trickle => { let ended: Result<()> = ended; ended.unwrap_err(); }
            // Closed, or reset because of unread data.
            _ = read.read_to_end(&mut text) => {}
        }
    };
    timeout(TIMEOUT / 2, cut_off).await.expect("not cut off");
    assert_eq!((rest(&mut silent).await, rest(&mut half).await), (String::new(), String::new()));
    assert!(text.is_empty(), "{text:?}");
    assert!(started.elapsed() >= header_timeout);
}

#[tokio::test]
async fn the_head_timeout_does_not_limit_the_response() {
    let header_timeout = Duration::from_millis(200);
    let mut server = Server::start(ListenerOptions { header_timeout, ..OPTIONS }).await;
    let (mut client, mut silent) = (server.client().await, server.client().await);
    ask(&mut client, "/slow").await;
    timeout(TIMEOUT, server.begun.recv()).await.unwrap();
    // A connection opened at the same time has been cut off meanwhile.
    let mut idle = server.client().await;
    assert_eq!((rest(&mut silent).await, rest(&mut idle).await), (String::new(), String::new()));
    server.release.notify_one();
    assert_eq!(answer(&mut client).await.1, "at last");
}

#[tokio::test]
async fn connections_are_kept_alive_and_handlers_see_the_peer() {
    let server = Server::start(OPTIONS).await;
    let mut client = server.client().await;
    let own = client.local_addr().unwrap().to_string();
    for _ in 0..3 {
        ask(&mut client, "/").await;
        let (head, body) = answer(&mut client).await;
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        assert_eq!(body, own);
    }
}

#[tokio::test]
async fn a_head_has_a_maximum_length() {
    let server = Server::start(OPTIONS).await;
    let mut client = server.client().await;
    let head = |length| format!("GET / HTTP/1.1\r\nhost: test\r\nx-long: {}\r\n\r\n", "x".repeat(length));
    send(&mut client, &head(BUFFER_BYTES_MAX / 2)).await;
    assert!(answer(&mut client).await.0.starts_with("HTTP/1.1 200 OK"));
    send(&mut client, &head(BUFFER_BYTES_MAX)).await;
    let (head, _) = answer(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 431"), "{head}");
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let header_timeout = Duration::from_millis(200);
    let server = Server::start(ListenerOptions { header_timeout, ..OPTIONS }).await;
    let mut client = server.client().await;
    ask(&mut client, "/").await;
    answer(&mut client).await;
    assert_eq!(rest(&mut client).await, "");
}

#[tokio::test]
async fn shutdown_finishes_started_requests_and_closes_idle_connections() {
    let mut server = Server::start(OPTIONS).await;
    let mut slow = server.client().await;
    ask(&mut slow, "/slow").await;
    timeout(TIMEOUT, server.begun.recv()).await.unwrap();
    let (mut fresh, mut idle) = (server.client().await, server.client().await);
    // Connections are accepted in order: once this one is answered, the fresh one has been accepted as well.
    ask(&mut idle, "/").await;
    answer(&mut idle).await;

    server.stop.cancel();
    assert_eq!((rest(&mut idle).await, rest(&mut fresh).await), (String::new(), String::new()));
    let refused = async { while TcpStream::connect(server.address).await.is_ok() {} };
    timeout(TIMEOUT, refused).await.expect("it still accepts");
    assert!(!server.task.is_finished());

    server.release.notify_one();
    let last = rest(&mut slow).await;
    assert!(last.starts_with("HTTP/1.1 200 OK"), "{last}");
    assert!(last.contains("connection: close") && last.ends_with("at last"), "{last}");
    server.ended().await;
}

#[tokio::test]
async fn at_the_maximum_a_new_connection_waits_for_one_to_end() {
    let mut server = Server::start(ListenerOptions { connections: 2, ..OPTIONS }).await;
    let (mut first, mut second) = (server.client().await, server.client().await);
    for client in [&mut first, &mut second] {
        ask(client, "/").await;
        answer(client).await;
    }
    let mut third = server.client().await;
    ask(&mut third, "/slow").await;
    let begun = timeout(Duration::from_millis(300), server.begun.recv()).await;
    begun.expect_err("a third connection is served");
    // Existing connections are still served.
    ask(&mut first, "/").await;
    answer(&mut first).await;
    drop(second);
    timeout(TIMEOUT, server.begun.recv()).await.expect("the third has a place now").unwrap();
    server.release.notify_one();
    assert_eq!(answer(&mut third).await.1, "at last");
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_free_permit() {
    let server = Server::start(ListenerOptions { connections: 1, ..OPTIONS }).await;
    let mut only = server.client().await;
    ask(&mut only, "/").await;
    answer(&mut only).await;
    server.stop.cancel();
    server.ended().await;
    assert_eq!(rest(&mut only).await, "");
}

#[test]
fn only_client_errors_are_retried_at_once() {
    for (code, at_once) in [(103, true), (104, true), (111, true), (23, false), (24, false), (12, false)] {
        // ECONNABORTED, ECONNRESET, ECONNREFUSED; ENFILE, EMFILE, ENOMEM.
        assert_eq!(is_of_the_client(&Error::from_raw_os_error(code)), at_once, "{code}");
    }
}

#[tokio::test]
async fn a_connection_on_which_nothing_comes_is_closed_soon_and_one_that_was_used_is_not() {
    let options = ListenerOptions { first_header_timeout: Duration::from_millis(300), ..OPTIONS };
    let server = Server::start(options).await;
    let mut used = server.client().await;
    ask(&mut used, "/").await;
    answer(&mut used).await;
    let (mut silent, mut slow) = (server.client().await, server.client().await);
    send(&mut slow, "GET / HT").await;
    assert_eq!((rest(&mut silent).await, rest(&mut slow).await), (String::new(), String::new()));
    ask(&mut used, "/").await;
    answer(&mut used).await;
}

#[tokio::test]
async fn a_peer_with_too_many_connections_gets_no_more_and_a_proxy_does() {
    let options = ListenerOptions { per_peer: 2, ..OPTIONS };
    let server = Server::start(options.clone()).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = server.client().await;
        ask(&mut client, "/").await;
        answer(&mut client).await;
        open.push(client);
    }
    assert_eq!(rest(&mut server.client().await).await, "");
    // A closed one makes room.
    drop(open.pop());
    let admitted = async {
        loop {
            let mut client = server.client().await;
            ask(&mut client, "/").await;
            if client.readable().await.is_ok() && client.peek(&mut [0]).await.is_ok_and(|bytes| bytes > 0) {
                return;
            }
        }
    };
    timeout(TIMEOUT, admitted).await.expect("there is room again");
    let trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let server = Server::start(ListenerOptions { trusted, ..options }).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut client = server.client().await;
        ask(&mut client, "/").await;
        answer(&mut client).await;
        open.push(client);
    }
}
