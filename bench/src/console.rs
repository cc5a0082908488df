//! The console: how long its pages take in an account with many chats, against the same account with few, and how soon a message is in an
//! open conversation after its row was made, just before its commit.

use crate::args::Console;
use crate::http::{self, Whole};
use crate::pipeline::{self, Percentiles, Person};
use crate::progress::say;
use crate::servers::{Servers, sibling};
use crate::stack::{BOOTSTRAP_KEY, Plan, Stack};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use dmrelay_simulator::{Options, Simulator};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, header};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};
use tokio::time::{sleep, timeout};

/// Chats of the small account.
const FEW: u32 = 50;

/// How many customers write at a time while the chats are opened.
const AT_ONCE: usize = 256;

/// How long a message may take to be shown.
const SHOWN_WITHIN: Duration = Duration::from_secs(20);

/// The pages that are measured, with their names.
const PAGES: [(&str, &str); 4] = [
    ("inbox", "/console/inbox"),
    ("folder counts", "/console/inbox?part=folders"),
    ("unanswered", "/console/inbox?folder=unanswered"),
    ("overview of a week", "/console/overview?range=week"),
];

/// Runs it and prints what came of it.
pub(crate) async fn run(args: Console) -> Result<ExitCode> {
    for program in ["dmrelay-api", "dmrelay-worker"] {
        sibling(program)?;
    }
    say("starting PostgreSQL, Redis and the simulator");
    let servers = Servers::start(&args.folder(), &[]).await?;
    let simulator = Simulator::start(Options::default()).await.context("the simulator did not start")?;
    simulator.configure(|settings| settings.retell.default_agent.latency_ms = 0);
    let plan = Plan::new("console", args.worker_concurrency)
        .with("RATE_PER_PRINCIPAL", "100000")
        .with("BURST_PER_PRINCIPAL", "100000")
        .with("RATE_PER_ADDRESS", "100000")
        .with("BURST_PER_ADDRESS", "100000");
    let mut stack = Stack::start(&servers, &simulator, plan).await?;
    stack.hire(1).await?;
    let everybody = pipeline::people(args.chats.max(FEW + 1));
    let (few, many) = everybody.split_at(usize::try_from(FEW)?);
    say(&format!("opening {FEW} chats"));
    pipeline::in_turn(&simulator, few.len(), few, AT_ONCE).await?;
    let cookie = sign_in(stack.addr()).await?;
    servers.postgres.analyze(stack.database()).await?;
    let small = pages(&stack, &cookie, args.calls).await?;
    say(&format!("opening {} chats", args.chats));
    pipeline::in_turn(&simulator, many.len(), many, AT_ONCE).await?;
    servers.postgres.analyze(stack.database()).await?;
    let large = pages(&stack, &cookie, args.calls).await?;
    let delays = live(&stack, &simulator, &cookie, (&few[0], args.messages)).await?;
    println!(
        "| page | {FEW} chats, p50 | {} chats, p50 | p95 | ratio of p50 |\n|---|---|---|---|---|",
        args.chats
    );
    for ((name, _), (small, large)) in PAGES.iter().zip(small.iter().zip(&large)) {
        let ratio = large.p50.as_secs_f64() / small.p50.as_secs_f64().max(f64::EPSILON);
        println!("| {name} | {:.1?} | {:.1?} | {:.1?} | {ratio:.2} |", small.p50, large.p50, large.p95);
    }
    let Percentiles { p50, p95, max, .. } = delays;
    println!(
        "\nFrom the making of a message's row, just before its commit, to its fragment: p50 {p50:.0?}, p95 {p95:.0?}, at most {max:.0?}."
    );
    Ok(ExitCode::SUCCESS)
}

async fn sign_in(addr: SocketAddr) -> Result<String> {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/console/sign-in")
        .header(header::HOST, addr.to_string())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::from(format!("name=Bench&key={BOOTSTRAP_KEY}&subaccount=bench")))?;
    let answer = http::Connection::open(addr).await?.begin(request).await?;
    ensure!(answer.status() == 303, "signing in: {}", answer.status());
    let cookie = answer.headers().get(header::SET_COOKIE).context("no cookie")?.to_str()?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

fn get(addr: SocketAddr, path: &str, cookie: &str) -> Result<Whole> {
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, addr.to_string())
        .header(header::ACCEPT, "text/html")
        .header(header::COOKIE, cookie);
    Ok(request.body(Full::default())?)
}

/// How long each page takes, from the request to its last byte.
async fn pages(stack: &Stack, cookie: &str, calls: u32) -> Result<Vec<Percentiles>> {
    let addr = stack.addr();
    let mut connection = http::Connection::open(addr).await?;
    let mut all = Vec::new();
    for (name, path) in PAGES {
        let mut times = Vec::new();
        for _ in 0..calls {
            let begun = Instant::now();
            let (status, _) = connection.exchange(get(addr, path, cookie)?).await?;
            ensure!(status == 200, "{name}: {status}");
            times.push(begun.elapsed());
        }
        all.push(Percentiles::of(times));
    }
    Ok(all)
}

/// How long after its row was made, just before the commit, the open conversation shows each message of a customer.
async fn live(
    stack: &Stack,
    simulator: &Simulator,
    cookie: &str,
    (who, messages): (&Person, u32),
) -> Result<Percentiles> {
    let addr = stack.addr();
    let agent = stack.seats().first().map(|seat| seat.agent.clone()).unwrap_or_default();
    let path =
        format!("/api/database/bench/chat-agents/{agent}/instagram/chats?instagramUserId={}", who.user);
    let (status, text) = http::get_as(addr, &path, BOOTSTRAP_KEY).await?;
    ensure!(status == 200, "{status} {text}");
    let chats: Value = serde_json::from_str(&text)?;
    let chat = chats["items"][0]["chatId"].as_str().context("the chat")?;
    let path = format!("/console/live?folder=all&chat={chat}");
    let mut stream = http::Connection::open(addr).await?.begin(get(addr, &path, cookie)?).await?.into_body();
    let mut delays = Vec::new();
    for number in 0..messages {
        let words = format!("Live {number}.");
        simulator.say(&who.account, &who.user, &words);
        let seen = timeout(SHOWN_WITHIN, shown(&mut stream, &format!("<p>{words}"))).await;
        let (at, committed) = seen.context("a message was not shown")??;
        delays.push(at.duration_since(committed).unwrap_or_default());
        sleep(Duration::from_millis(137)).await;
    }
    Ok(Percentiles::of(delays))
}

/// When the bubble with these words arrived, and when its row was written.
#[expect(
    clippy::disallowed_methods,
    reason = "compared with the time in the id of a row, on the same machine"
)]
async fn shown(stream: &mut Incoming, words: &str) -> Result<(SystemTime, SystemTime)> {
    let mut text = String::new();
    loop {
        let frame: Bytes = match stream.frame().await.context("the stream has ended")??.into_data() {
            Ok(data) => data,
            Err(_) => continue,
        };
        text.push_str(&String::from_utf8_lossy(&frame));
        let Some((before, _)) = text.split_once(words) else { continue };
        let now = SystemTime::now();
        // The bubble begins with the id of the message, a UUID of version 7.
        let id = before.rsplit_once("id=\"m-").and_then(|(_, rest)| rest.get(..36)).context("no id")?;
        let millis = u64::from_str_radix(&id.replace('-', "")[..12], 16)?;
        return Ok((now, SystemTime::UNIX_EPOCH + Duration::from_millis(millis)));
    }
}
