//! A broadcast to many customers: how much longer others wait for their answers while it is sent, and whether each customer gets it once
//! although workers are killed.

use crate::args::Broadcast;
use crate::http;
use crate::pipeline::{self, Percentiles, Person};
use crate::progress::say;
use crate::servers::{Servers, sibling};
use crate::stack::{BOOTSTRAP_KEY, Plan, Stack};
use anyhow::{Context, Result, bail, ensure};
use dmrelay_simulator::{Options, Simulator};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// What the broadcast says. Answers to customers begin otherwise.
const NEWS: &str = "News for everybody";

/// How many customers write at a time while the chats are opened.
const AT_ONCE: usize = 256;

/// How long the broadcast may stand still.
const PATIENCE: Duration = Duration::from_mins(5);

/// Runs it and prints what came of it. The exit code says whether everybody got it once, and every message was answered once.
pub(crate) async fn run(args: Broadcast) -> Result<ExitCode> {
    for program in ["dmrelay-api", "dmrelay-worker"] {
        sibling(program)?;
    }
    say("starting PostgreSQL, Redis and the simulator");
    let servers = Servers::start(&args.folder(), &[]).await?;
    let simulator = Simulator::start(Options::default()).await.context("the simulator did not start")?;
    simulator.configure(|settings| settings.retell.default_agent.latency_ms = args.agent_latency_ms);
    let plan = Plan::new("broadcast", args.worker_concurrency)
        .with("BROADCAST_PER_MINUTE_MAX", "6000000")
        .with("BROADCAST_IN_FLIGHT", args.in_flight.to_string())
        .with("BROADCAST_RETRY", "2s")
        .with("BROADCAST_TRIES", "1000")
        .with("LEASE", "5s");
    let mut stack = Stack::start(&servers, &simulator, plan).await?;
    stack.hire(args.workers).await?;
    let everybody = pipeline::people(args.chats + args.users);
    let (quiet, talkers) = everybody.split_at(usize::try_from(args.chats)?);
    say(&format!("opening {} chats", everybody.len()));
    pipeline::in_turn(&simulator, everybody.len(), &everybody, AT_ONCE).await?;
    let messages = usize::try_from(u64::from(args.rate) * args.seconds)?;
    say("answers without a broadcast");
    let without = pipeline::steadily(&simulator, messages, talkers, args.rate).await?;
    say("answers beside a broadcast");
    let (beside, id) = tokio::join!(
        pipeline::steadily(&simulator, messages, talkers, args.rate),
        begin(&stack, args.per_minute)
    );
    let (beside, id) = (beside?, id?);
    let sent_by_then = news(&simulator).values().sum::<u32>();
    say(&format!("{sent_by_then} customers have it; killing workers every {} s", args.kill_seconds));
    let kills = kill_until_done(&mut stack, &id, &args).await?;
    sleep(pipeline::SETTLE).await;
    let got = news(&simulator);
    let times = |people: &[Person], wrong: fn(u32) -> bool| {
        people.iter().filter(|one| wrong(got.get(&one.user).copied().unwrap_or_default())).count()
    };
    let missed = times(quiet, |times| times == 0);
    let twice = times(&everybody, |times| times > 1);
    println!("| answers | p50 | p95 | p99 | unanswered | twice |\n|---|---|---|---|---|---|");
    for (name, talk) in [("without", &without), ("beside the broadcast", &beside)] {
        let Percentiles { p50, p95, p99, .. } = talk.reply;
        println!(
            "| {name} | {p50:.0?} | {p95:.0?} | {p99:.0?} | {} | {} |",
            talk.unanswered, talk.answered_twice
        );
    }
    let ratio = |of: fn(&Percentiles) -> Duration| {
        of(&beside.reply).as_secs_f64() / of(&without.reply).as_secs_f64().max(f64::EPSILON)
    };
    println!(
        "\nRatio of p50 {:.2}, of p95 {:.2}, with {} messages a minute sent meanwhile ({sent_by_then} in {} s).",
        ratio(|one| one.p50),
        ratio(|one| one.p95),
        args.per_minute,
        args.seconds,
    );
    println!(
        "{} customers, {kills} times all {} workers killed: {missed} without it, {twice} with it twice.",
        quiet.len(),
        args.workers
    );
    let answered = [&without, &beside].iter().all(|talk| talk.unanswered == 0 && talk.answered_twice == 0);
    Ok(if missed == 0 && twice == 0 && answered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How often each user got the news.
fn news(simulator: &Simulator) -> HashMap<String, u32> {
    simulator.record(|record| {
        let mut got = HashMap::new();
        for sent in record.sends.iter().filter(|sent| sent.text.as_deref() == Some(NEWS)) {
            *got.entry(sent.user.clone()).or_insert(0) += 1;
        }
        got
    })
}

fn path(stack: &Stack) -> String {
    let agent = stack.seats().first().map(|seat| seat.agent.clone()).unwrap_or_default();
    format!("/api/database/bench/chat-agents/{agent}/instagram/broadcasts")
}

async fn begin(stack: &Stack, per_minute: u32) -> Result<String> {
    // What was recorded before is forgotten by then.
    sleep(Duration::from_millis(300)).await;
    let body = json!({ "name": NEWS, "message": NEWS, "perMinute": per_minute });
    let (status, text) = http::post(stack.addr(), &path(stack), BOOTSTRAP_KEY, &body.to_string()).await?;
    ensure!(status == 201, "the broadcast was not made: {status} {text}");
    let made: Value = serde_json::from_str(&text)?;
    Ok(made["broadcastId"].as_str().context("broadcastId")?.to_owned())
}

/// Kills all workers again and again, until the broadcast is over. Gives how often.
async fn kill_until_done(stack: &mut Stack, id: &str, args: &Broadcast) -> Result<u32> {
    let (mut kills, mut last) = (0, (String::new(), Instant::now()));
    loop {
        sleep(Duration::from_secs(args.kill_seconds)).await;
        let (status, text) =
            http::get_as(stack.addr(), &format!("{}/{id}", path(stack)), BOOTSTRAP_KEY).await?;
        ensure!(status == 200, "{status} {text}");
        let one: Value = serde_json::from_str(&text)?;
        if one["state"] == "done" {
            return Ok(kills);
        }
        let progress = one["progress"].to_string();
        if progress != last.0 {
            last = (progress, Instant::now());
        } else if last.1.elapsed() > PATIENCE {
            bail!("the broadcast stands still: {one}");
        }
        stack.dismiss(0);
        stack.hire(args.workers).await?;
        kills += 1;
        say(&format!("killed {kills} times; {}", last.0));
    }
}
