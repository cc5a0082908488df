//! What the demo shows: the addresses, the account's QR code, and a message being answered.

use crate::account::{self, ACCOUNT, USERNAME};
use crate::embedded::System;
use anyhow::anyhow;
use dmrelay_instagram::links;
use std::time::{Duration, Instant};

/// What the simulated customer writes.
const QUESTION: &str = "Hi! Are you open on Sunday?";

/// How long to wait for the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Prints the addresses.
pub(crate) fn introduce(system: &System) -> anyhow::Result<()> {
    let link = links::direct_message(USERNAME, None)?;
    println!("dmrelay is running, with a simulated Meta and Retell.\n");
    println!("  Console     http://{}/console/enter?code={}", system.address, system.code);
    println!("  REST API    {}", account::base(system));
    println!("  Guide       http://{}/api/guide", system.address);
    println!("  All calls   http://{}/api/docs/#key={}", system.address, system.keys.api_key);
    println!("  Events      {}/events", account::base(system));
    println!("  API key     {}", system.keys.api_key);
    println!("  Health      http://{}/readyz", system.address);
    println!("  Simulator   {}", system.simulator.control_url());
    println!("  Account     @{USERNAME} ({ACCOUNT}), connected\n");
    println!("Customers open the chat with {link}:\n");
    println!("{}\n", links::qr_for_terminal(&link)?);
    Ok(())
}

/// Lets a simulated customer write, and shows the answer with its response time.
pub(crate) async fn show_a_message_answered(system: &System) -> anyhow::Result<()> {
    let before = system.simulator.record(|record| record.sends_to(ACCOUNT, &system.customer).count());
    println!("customer  > {QUESTION}");
    let started = Instant::now();
    system.simulator.say(ACCOUNT, &system.customer, QUESTION);
    let answered =
        |record: &dmrelay_simulator::Record| record.sends_to(ACCOUNT, &system.customer).count() > before;
    system
        .simulator
        .wait_for("the answer", ANSWER_TIMEOUT, answered)
        .await
        .map_err(|err| anyhow!("the message was not answered: {err}"))?;
    let took = started.elapsed();
    let answer = system.simulator.record(|record| {
        record
            .sends_to(ACCOUNT, &system.customer)
            .last()
            .and_then(|sent| sent.text.clone())
            .unwrap_or_default()
    });
    println!("@{USERNAME} > {answer}");
    println!(
        "\nAnswered in {:.2} s, from the customer's message to Meta's acceptance of the reply.",
        took.as_secs_f64()
    );
    let stored = account::messages(system).await?.len();
    println!("{stored} messages are stored.\n");
    Ok(())
}

/// Prints links to open in a browser, and commands to paste into another terminal.
pub(crate) async fn tell_how_to_go_on(system: &System) -> anyhow::Result<()> {
    let (base, key, control) = (account::base(system), &system.keys.api_key, system.simulator.control_url());
    let customer = &system.customer;
    println!(
        "Connect another account as its owner does, by logging in (the links are good for ten minutes):\n"
    );
    for login in ["instagram", "facebook"] {
        println!("  {}\n", account::link_to_connect(system, login).await?);
    }
    println!("Go on in another terminal. As the customer:\n");
    println!("  curl -s -X POST {control}/act -H 'content-type: application/json' \\");
    println!(
        "    -d '{{\"account\":\"{ACCOUNT}\",\"user\":\"{customer}\",\"action\":{{\"kind\":\"text\",\"text\":\"Do you ship to Norway?\"}}}}'\n"
    );
    println!("The conversation as it is stored, newest first:\n");
    println!("  curl -s '{base}/messages?limit=10' -H 'authorization: Bearer {key}'\n");
    println!("As a human agent, which silences the bot in this chat:\n");
    println!(
        "  curl -s -X POST {base}/send -H 'authorization: Bearer {key}' -H 'content-type: application/json' \\"
    );
    println!("    -d '{{\"instagramUserId\":\"{customer}\",\"message\":\"This is Ada, I take over.\"}}'\n");
    println!("Ctrl-C ends it; the next start continues with the same data.");
    Ok(())
}
