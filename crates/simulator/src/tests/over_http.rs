use serde_json::{Value, json};

use super::{ANNA, DEADLINE, SHOP, Setup, answer};
use crate::Simulator;

async fn call(
    setup: &Setup,
    method: reqwest::Method,
    path: &str,
    body: Value,
) -> anyhow::Result<(u16, Value)> {
    let url = format!("{}{path}", setup.sim.control_url());
    let request = setup.client.request(method, url);
    answer(if body.is_null() { request } else { request.json(&body) }).await
}

#[tokio::test]
async fn another_process_can_do_and_see_everything() -> anyhow::Result<()> {
    use reqwest::Method;
    let setup = Setup::new().await?;
    let bob = json!({"account": SHOP, "user": "b", "action": {"kind": "text", "text": "hi"}, "duplicate": 1});
    let (status, acted) = call(&setup, Method::POST, "/act", bob).await?;
    assert_eq!(status, 200);
    assert_eq!(setup.receiver.received(2).await?[1].item()?["message"]["mid"], acted["id"]);

    let batch = json!({"messages": [{"account": SHOP, "user": ANNA, "text": "x"}], "updatesPerPost": 5});
    assert_eq!(
        call(&setup, Method::POST, "/batch", batch).await?.1["mids"].as_array().map(Vec::len),
        Some(1)
    );
    let fault = json!({"service": "graph", "operation": "send", "mode": "graph_error", "code": 613});
    let (_, added) = call(&setup, Method::POST, "/faults", fault).await?;
    assert_eq!(setup.send_text("y").await?.0, 400);
    let (_, faults) = call(&setup, Method::GET, "/faults", Value::Null).await?;
    assert_eq!(
        (&faults[0]["id"], &faults[0]["struck"], &faults[0]["mode"]),
        (&added["id"], &json!(1), &json!("graph_error"))
    );
    assert_eq!(setup.send_text("z").await?.0, 200);

    setup.sim.wait_for("all webhooks", DEADLINE, |record| record.acknowledged == 4).await?;
    let (_, sends) =
        call(&setup, Method::GET, &format!("/sends?account={SHOP}&user={ANNA}"), Value::Null).await?;
    assert_eq!(sends["items"][0]["text"], "z");
    let (_, thread) =
        call(&setup, Method::GET, &format!("/thread?account={SHOP}&user={ANNA}"), Value::Null).await?;
    assert_eq!(thread["messages"].as_array().map(Vec::len), Some(2));
    let (_, webhooks) = call(&setup, Method::GET, "/webhooks?limit=1", Value::Null).await?;
    assert_eq!(webhooks["items"][0]["attempts"][0]["status"], 200);
    let (_, record) = call(&setup, Method::GET, "/record", Value::Null).await?;
    assert_eq!((&record["calls"]["graph.send"], &record["sendCount"]), (&json!(2), &json!(1)));

    assert_eq!(call(&setup, Method::POST, "/reset", Value::Null).await?.0, 204);
    assert_eq!(call(&setup, Method::GET, "/record", Value::Null).await?.1["sendCount"], 0);
    Ok(())
}

#[tokio::test]
async fn settings_are_patched_and_accounts_added() -> anyhow::Result<()> {
    use reqwest::Method;
    let setup = Setup::new().await?;
    let patch = json!({"graph": {"echo": "never", "statuses": {"190": 401}}});
    assert_eq!(call(&setup, Method::PATCH, "/settings", patch).await?.0, 200);
    let settings = setup.sim.settings();
    assert!(settings.graph.echo == crate::Echo::Never && settings.webhooks.target.is_some());
    assert_eq!(call(&setup, Method::PATCH, "/settings", json!({"graph": {"echo": 7}})).await?.0, 400);

    let account = json!({"accountId": "178", "username": "new", "accessToken": "t", "loginKind": "facebook"});
    assert_eq!(call(&setup, Method::POST, "/accounts", account).await?.0, 204);
    let expired = json!({"state": "expired"});
    assert_eq!(call(&setup, Method::PUT, "/accounts/178/token", expired).await?.0, 204);
    let url = format!("{}/me", setup.sim.graph_url());
    assert_eq!(answer(setup.client.get(url).bearer_auth("t")).await?.0, 401);

    let agent = json!({"reply": {"kind": "texts", "texts": ["fixed"]}});
    assert_eq!(call(&setup, Method::PUT, "/agents/agent_1", agent).await?.0, 204);
    let chat = setup.new_chat("agent_1").await?;
    assert_eq!(setup.complete(&chat, "x").await?.1["messages"][0]["content"], "fixed");
    assert_eq!(
        call(&setup, Method::PATCH, &format!("/chats/{chat}"), json!({"status": "ended"})).await?.0,
        204
    );
    assert_eq!(call(&setup, Method::GET, &format!("/chats/{chat}"), Value::Null).await?.1["status"], "ended");
    let (_, handshake) = call(&setup, Method::POST, "/webhook/handshake", json!({})).await?;
    assert_eq!(handshake["accepted"], true);
    Ok(())
}

#[tokio::test]
async fn without_records_only_counts_remain() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.configure(|settings| settings.keep_records = false);
    for n in 0..30 {
        setup.sim.say(SHOP, ANNA, format!("m{n}"));
    }
    setup.send_text("y").await?;
    setup.sim.wait_for("the webhooks", DEADLINE, |record| record.acknowledged == 31).await?;
    setup.sim.record(|record| {
        assert!(record.sends.is_empty() && record.deliveries.is_empty());
        assert_eq!((record.send_count, record.ack_latency.count()), (1, 31));
    });
    assert_eq!(setup.sim.thread(SHOP, ANNA).map(|thread| thread.messages.len()), Some(25));
    Ok(())
}

#[tokio::test]
async fn stopping_frees_the_address() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let options = crate::Options { addr: setup.sim.addr(), ..crate::Options::default() };
    setup.get("/me").await?;
    setup.sim.stop().await;
    let again = Simulator::start(options).await?;
    assert_eq!(again.settings().graph.page_size, 25);
    Ok(())
}
