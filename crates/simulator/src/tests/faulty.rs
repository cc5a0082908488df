use std::time::{Duration, Instant};

use super::{ANNA, DEADLINE, SHOP, Setup, code_of};
use crate::{Fault, FaultMode, Operation, Service};

async fn ready() -> anyhow::Result<Setup> {
    let setup = Setup::new().await?;
    setup.sim.say(SHOP, ANNA, "hi");
    Ok(setup)
}

fn sends(setup: &Setup) -> u64 {
    setup.sim.record(|record| record.send_count)
}

#[tokio::test]
async fn before_is_an_error_without_the_effect_and_after_one_with_it() -> anyhow::Result<()> {
    let setup = ready().await?;
    setup.sim.add_fault(Fault::graph(Operation::Send, FaultMode::Before).code(1, Some(99)));
    assert_eq!(code_of(&setup.send_text("x").await?), (500, 1, Some(99)));
    assert_eq!(sends(&setup), 0);
    setup.sim.add_fault(Fault::graph(Operation::Send, FaultMode::After));
    assert_eq!(code_of(&setup.send_text("x").await?), (500, 2, None));
    assert_eq!(sends(&setup), 1);
    // The echo arrives all the same.
    assert_eq!(setup.receiver.received(2).await?[1].item()?["message"]["is_echo"], true);
    assert_eq!(setup.send_text("x").await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn a_dropped_connection_is_seen_by_the_client() -> anyhow::Result<()> {
    let setup = ready().await?;
    for (mode, effects) in [(FaultMode::DropBefore, 0), (FaultMode::DropAfter, 1)] {
        setup.sim.add_fault(Fault::graph(Operation::Send, mode));
        let seen = setup.text_request("x").send().await;
        assert!(seen.is_err_and(|error| error.is_request() && !error.is_connect() && !error.is_timeout()));
        assert_eq!(sends(&setup), effects);
    }
    let chat = setup.new_chat("agent_1").await?;
    setup.sim.add_fault(Fault::retell(Operation::Completion, FaultMode::DropAfter));
    assert!(setup.complete(&chat, "hello").await.is_err());
    assert_eq!(setup.sim.chat(&chat).map(|chat| chat.messages.len()), Some(2));
    Ok(())
}

#[tokio::test]
async fn a_slow_call_takes_effect_even_if_no_one_waits() -> anyhow::Result<()> {
    let setup = ready().await?;
    for mode in [FaultMode::Slow, FaultMode::SlowAfter] {
        let before = sends(&setup);
        setup.sim.add_fault(Fault::graph(Operation::Send, mode).delay(Duration::from_millis(400)));
        let seen = setup.text_request("x").timeout(Duration::from_millis(250)).send().await;
        assert!(seen.is_err_and(|error| error.is_timeout()));
        setup.sim.wait_for("the effect", DEADLINE, |record| record.send_count == before + 1).await?;
    }
    let begun = Instant::now();
    setup.sim.add_fault(Fault::graph(Operation::Send, FaultMode::SlowAfter).delay(Duration::from_millis(30)));
    assert_eq!(setup.send_text("x").await?.0, 200);
    assert!(begun.elapsed() >= Duration::from_millis(30));
    Ok(())
}

#[tokio::test]
async fn gateways_answer_in_their_own_way() -> anyhow::Result<()> {
    let setup = ready().await?;
    setup.sim.add_fault(Fault::graph(Operation::Send, FaultMode::Html));
    let page = setup.text_request("x").send().await?;
    assert_eq!(page.status(), 502);
    assert_eq!(page.headers()["content-type"], "text/html");
    let fault = Fault::graph(Operation::Send, FaultMode::Status).status(429).header("Retry-After", "7");
    setup.sim.add_fault(fault);
    let bare = setup.text_request("x").send().await?;
    assert_eq!((bare.status().as_u16(), &bare.headers()["retry-after"]), (429, &"7".parse()?));
    assert_eq!(bare.bytes().await?.len(), 0);
    assert_eq!(sends(&setup), 0);
    Ok(())
}

#[tokio::test]
async fn a_graph_error_has_its_status_from_the_table() -> anyhow::Result<()> {
    let setup = ready().await?;
    setup.sim.add_fault(Fault::graph(Operation::Send, FaultMode::GraphError).code(10, Some(2_534_022)));
    assert_eq!(code_of(&setup.send_text("x").await?), (403, 10, Some(2_534_022)));
    setup
        .sim
        .add_fault(Fault::graph(Operation::Send, FaultMode::GraphError).code(190, Some(460)).status(401));
    assert_eq!(code_of(&setup.send_text("x").await?), (401, 190, Some(460)));
    setup.sim.add_fault(Fault::new(Service::Retell, FaultMode::Before).status(429));
    let chat =
        setup.retell(reqwest::Method::POST, "/create-chat", &serde_json::json!({"agent_id": "a"})).await?;
    assert_eq!(
        (chat.0, &chat.1["message"]),
        (429, &"Account rate limited, please throttle your requests.".into())
    );
    Ok(())
}

#[tokio::test]
async fn a_fault_lasts_until_it_is_cleared() -> anyhow::Result<()> {
    let setup = ready().await?;
    let id = setup
        .sim
        .add_fault(Fault::graph(Operation::Send, FaultMode::Before).user(ANNA).account(SHOP).times(0));
    for _ in 0..3 {
        assert_eq!(setup.send_text("x").await?.0, 500);
    }
    assert_eq!(setup.sim.faults()[0].struck, 3);
    setup.sim.clear_faults(Some(id));
    assert_eq!(setup.send_text("x").await?.0, 200);
    Ok(())
}
