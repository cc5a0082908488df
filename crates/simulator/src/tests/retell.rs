use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{DEADLINE, Setup, answer};
use crate::{AgentRule, ChatStatus, Fault, FaultMode, Operation, ReplyRule, UserTurn};

fn error(status: u16, message: &str) -> (u16, Value) {
    (status, json!({"status": "error", "message": message}))
}

fn roles(messages: &Value) -> Vec<String> {
    let messages = messages.as_array().cloned().unwrap_or_default();
    messages.iter().filter_map(|message| message["role"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_chat_is_begun_asked_read_and_ended() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let body = json!({
        "agent_id": "agent_1", "metadata": {"k": "v"}, "retell_llm_dynamic_variables": {"name": "Anna"},
    });
    let (status, created) = setup.retell(Method::POST, "/create-chat", &body).await?;
    assert_eq!((status, &created["chat_status"]), (201, &json!("ongoing")));
    assert_eq!(created["message_with_tool_calls"], json!([]));
    let chat = created["chat_id"].as_str().unwrap_or_default();

    let (status, turn) = setup.complete(chat, "hello").await?;
    assert_eq!((status, roles(&turn["messages"])), (201, vec!["agent".to_owned()]));
    assert_eq!(turn["messages"][0]["content"], "Answer to: hello");

    let (status, read) = setup.retell(Method::GET, &format!("/get-chat/{chat}"), &Value::Null).await?;
    assert_eq!(
        (status, roles(&read["message_with_tool_calls"])),
        (200, vec!["user".to_owned(), "agent".to_owned()])
    );
    assert_eq!(read["transcript"], "User: hello\nAgent: Answer to: hello\n");
    assert_eq!(read["metadata"], json!({"k": "v"}));

    let update = json!({"metadata": {"k": "w"}, "override_dynamic_variables": {"name": "Bo"}});
    let (status, updated) = setup.retell(Method::PATCH, &format!("/update-chat/{chat}"), &update).await?;
    assert_eq!((status, &updated["retell_llm_dynamic_variables"]["name"]), (200, &json!("Bo")));

    let end = format!("/end-chat/{chat}");
    assert_eq!(setup.retell(Method::PATCH, &end, &Value::Null).await?, (204, Value::Null));
    assert_eq!(setup.retell(Method::PATCH, &end, &Value::Null).await?, error(400, "Chat already ended"));
    assert_eq!(setup.complete(chat, "more").await?, error(400, "Chat already ended"));
    Ok(())
}

#[tokio::test]
async fn overrides_are_removed_and_what_the_chat_was_given_stays() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.configure(|settings| settings.retell.custom_attributes = vec!["tier".to_owned()]);
    let given = json!({"agent_id": "a", "agent_version": "latest_published",
        "retell_llm_dynamic_variables": {"name": "Anna", "city": "Graz"}});
    let (_, created) = setup.retell(Method::POST, "/create-chat", &given).await?;
    assert_eq!(created["agent_tag"], "latest_published");
    let path = format!("/update-chat/{}", created["chat_id"].as_str().unwrap_or_default());
    let update = async |body: Value| setup.retell(Method::PATCH, &path, &body).await;
    let variables = "retell_llm_dynamic_variables";
    let (_, updated) = update(json!({"override_dynamic_variables": {"name": "Bo", "new": "1"}})).await?;
    assert_eq!(updated[variables], json!({"name": "Bo", "city": "Graz", "new": "1"}));
    let (_, updated) = update(json!({"override_dynamic_variables": null})).await?;
    assert_eq!(updated[variables], json!({"name": "Anna", "city": "Graz"}));
    let (_, updated) = update(json!({"custom_attributes": {"tier": "gold", "unknown": 1}})).await?;
    assert_eq!(updated["custom_attributes"], json!({"tier": "gold"}));
    // Less may be stored from now on, and never more.
    let (status, updated) = update(json!({"data_storage_setting": "basic_attributes_only"})).await?;
    assert_eq!((status, updated.get("message_with_tool_calls")), (200, None));
    assert_eq!(update(json!({"data_storage_setting": "everything"})).await?.0, 400);
    assert_eq!(update(json!({"data_storage_setting": "nothing"})).await?.0, 400);
    let numbered = json!({"agent_id": "a", "agent_version": 3});
    assert_eq!(setup.retell(Method::POST, "/create-chat", &numbered).await?.1["version"], 3);
    Ok(())
}

#[tokio::test]
async fn lists_are_filtered_paged_and_refused_what_retell_does_not_have() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    for chat in ["chat_1", "chat_2", "chat_3"] {
        setup.sim.put_chat(chat, "a");
    }
    let list = async |body: Value| -> anyhow::Result<(u16, Vec<String>, Value)> {
        let (status, listed) = setup.retell(Method::POST, "/v3/list-chats", &body).await?;
        let items = listed["items"].as_array().cloned().unwrap_or_default();
        let ids = items.iter().filter_map(|item| item["chat_id"].as_str().map(str::to_owned)).collect();
        Ok((status, ids, listed))
    };
    let ascending = |more: Value| {
        let mut body = json!({"sort_order": "ascending"});
        body.as_object_mut()
            .into_iter()
            .for_each(|all| all.extend(more.as_object().cloned().unwrap_or_default()));
        body
    };
    assert_eq!(list(ascending(json!({}))).await?.1, ["chat_1", "chat_2", "chat_3"]);
    assert_eq!(list(ascending(json!({"skip": 1, "limit": 1}))).await?.1, ["chat_2"]);
    assert_eq!(list(ascending(json!({"pagination_key": "chat_1"}))).await?.1, ["chat_2", "chat_3"]);
    let ne = json!({"chat_id": {"type": "string", "op": "ne", "value": "chat_2"}});
    let (_, ids, listed) = list(ascending(json!({"filter_criteria": ne, "include_total": true}))).await?;
    assert_eq!((ids, &listed["total"]), (vec!["chat_1".to_owned(), "chat_3".to_owned()], &json!(2)));
    for refused in [
        json!({"pagination_key": "garbage"}),
        json!({"skip": "x"}),
        json!({"sort_order": "sideways"}),
        json!({"filter_criteria": {"metadata": {"type": "string", "op": "eq", "value": "x"}}}),
        json!({"filters": {}}),
    ] {
        assert_eq!(list(refused.clone()).await?.0, 400, "{refused}");
    }
    let delete = async || setup.retell(Method::DELETE, "/delete-chat/chat_2", &Value::Null).await;
    assert_eq!(delete().await?, (204, Value::Null));
    assert_eq!(delete().await?.0, 422);
    assert_eq!(list(ascending(json!({}))).await?.1, ["chat_1", "chat_3"]);
    Ok(())
}

#[tokio::test]
async fn the_same_completion_twice_is_two_turns() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let chat = setup.new_chat("agent_1").await?;
    setup.complete(&chat, "hello").await?;
    setup.complete(&chat, "hello").await?;
    let (_, read) = setup.retell(Method::GET, &format!("/get-chat/{chat}"), &Value::Null).await?;
    assert_eq!(roles(&read["message_with_tool_calls"]), ["user", "agent", "user", "agent"]);
    assert_eq!(setup.sim.record(|record| (record.completion_count, record.overlaps)), (2, 0));
    Ok(())
}

#[tokio::test]
async fn errors_have_retells_statuses() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let unknown = error(422, "Cannot find requested asset under given api key.");
    assert_eq!(setup.complete("chat_none", "x").await?, unknown);
    assert_eq!(setup.retell(Method::GET, "/get-chat/chat_none", &Value::Null).await?, unknown);
    let bad = error(400, "Invalid request format, please check API reference.");
    assert_eq!(setup.retell(Method::POST, "/create-chat", &json!({})).await?, bad);
    let numbers = json!({"agent_id": "a", "retell_llm_dynamic_variables": {"n": 1}});
    assert_eq!(setup.retell(Method::POST, "/create-chat", &numbers).await?, bad);
    let url = format!("{}/create-chat", setup.sim.retell_url());
    let wrong_key =
        answer(setup.client.post(url).bearer_auth("wrong").json(&json!({"agent_id": "a"}))).await?;
    assert_eq!(wrong_key, error(401, "API key is missing or invalid."));
    setup.sim.configure(|settings| settings.retell.any_agent = false);
    assert_eq!(setup.retell(Method::POST, "/create-chat", &json!({"agent_id": "a"})).await?, unknown);
    Ok(())
}

#[tokio::test]
async fn silence_ends_a_chat() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let chat = setup.new_chat("agent_1").await?;
    // Counted from the agent's last message: there is none yet.
    setup.sim.advance(Duration::from_hours(2));
    assert_eq!(setup.complete(&chat, "hello").await?.0, 201);
    setup.sim.advance(Duration::from_mins(59));
    assert_eq!(setup.complete(&chat, "still there").await?.0, 201);
    setup.sim.advance(Duration::from_hours(1));
    assert_eq!(setup.complete(&chat, "gone").await?, error(400, "Chat already ended"));
    assert_eq!(setup.sim.chat(&chat).map(|chat| chat.status), Some(ChatStatus::Ended));
    Ok(())
}

#[tokio::test]
async fn overlapping_completions_are_counted() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.put_agent("slow", AgentRule { latency_ms: 400, ..AgentRule::default() });
    let chat = setup.new_chat("slow").await?;
    let (first, second) = tokio::join!(setup.complete(&chat, "one"), setup.complete(&chat, "two"));
    assert_eq!((first?.0, second?.0), (201, 201));
    assert_eq!(setup.sim.record(|record| record.overlaps), 1);
    Ok(())
}

#[tokio::test]
async fn the_user_turn_is_stored_before_or_with_the_answer() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    for (user_turn, seen) in [(UserTurn::Before, 1), (UserTurn::After, 0)] {
        setup.sim.put_agent("slow", AgentRule { latency_ms: 400, user_turn, ..AgentRule::default() });
        let chat = setup.new_chat("slow").await?;
        let before = setup.sim.record(|record| record.completion_count);
        let during = async {
            setup.sim.wait_for("the turn", DEADLINE, |record| record.completion_count > before).await?;
            anyhow::Ok(setup.sim.chat(&chat).map(|chat| chat.messages.len()))
        };
        let (answered, during) = tokio::join!(setup.complete(&chat, "one"), during);
        assert_eq!((answered?.0, during?), (201, Some(seen)));
        assert_eq!(setup.sim.chat(&chat).map(|chat| chat.messages.len()), Some(2));
    }
    Ok(())
}

#[tokio::test]
async fn a_completion_continues_when_the_caller_hangs_up() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.put_agent("slow", AgentRule { latency_ms: 400, ..AgentRule::default() });
    let chat = setup.new_chat("slow").await?;
    let hasty = setup.client.post(format!("{}/create-chat-completion", setup.sim.retell_url()));
    let hasty = hasty.bearer_auth("key_simulated").timeout(Duration::from_millis(10));
    let given_up = hasty.json(&json!({"chat_id": chat, "content": "hello"})).send().await;
    assert!(given_up.is_err_and(|error| error.is_timeout()));
    let spoken = || setup.sim.chat(&chat).is_some_and(|chat| chat.messages.len() == 2);
    let mut changes = setup.sim.changes();
    tokio::time::timeout(DEADLINE, async {
        while !spoken() {
            changes.changed().await?;
        }
        anyhow::Ok(())
    })
    .await??;
    Ok(())
}

#[tokio::test]
async fn agents_answer_in_all_supported_ways() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    for (reply, expected) in [
        (json!({"kind": "texts", "texts": ["one {input}", "two"]}), vec!["agent", "agent"]),
        (json!({"kind": "nothing"}), vec![]),
        (json!({"kind": "tool_only"}), vec!["tool_call_invocation", "tool_call_result"]),
        (json!({"kind": "node_transitions"}), vec!["node_transition", "agent", "node_transition"]),
        (json!({"kind": "unknown_role"}), vec!["simulated_role", "agent"]),
        (json!({"kind": "raw", "messages": [{"role": "injected", "content": "x"}]}), vec!["injected"]),
    ] {
        let reply: ReplyRule = serde_json::from_value(reply)?;
        setup.sim.put_agent("agent_1", AgentRule { reply, ..AgentRule::default() });
        let chat = setup.new_chat("agent_1").await?;
        assert_eq!(roles(&setup.complete(&chat, "hello").await?.1["messages"]), expected);
    }
    let rule = AgentRule { ends_chat: true, omit_messages: true, ..AgentRule::default() };
    setup.sim.put_agent("agent_1", rule);
    let chat = setup.new_chat("agent_1").await?;
    let (_, last) = setup.complete(&chat, "bye").await?;
    assert_eq!(last["messages"][1]["type"], "end_call");
    let (_, read) = setup.retell(Method::GET, &format!("/get-chat/{chat}"), &Value::Null).await?;
    assert_eq!((&read["chat_status"], read.get("message_with_tool_calls")), (&json!("ended"), None));
    Ok(())
}

#[tokio::test]
async fn a_turn_can_be_stored_and_never_answered() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let chat = setup.new_chat("agent_1").await?;
    setup.sim.add_fault(Fault::retell(Operation::Completion, FaultMode::Partial));
    assert_eq!(setup.complete(&chat, "hello").await?, error(500, "An unexpected server error occurred."));
    let stored = setup.sim.chat(&chat).map(|chat| chat.messages).unwrap_or_default();
    assert_eq!(roles(&json!(stored)), ["user"]);
    Ok(())
}

#[tokio::test]
async fn empty_content_asks_for_the_opening() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let chat = setup.new_chat("agent_1").await?;
    setup.complete(&chat, "").await?;
    let stored = setup.sim.chat(&chat).map(|chat| chat.messages).unwrap_or_default();
    assert_eq!(roles(&json!(stored)), ["agent"]);
    Ok(())
}

#[tokio::test]
async fn both_listings_page_through_all_chats() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    for _ in 0..3 {
        setup.new_chat("agent_1").await?;
    }
    let (_, first) =
        setup.retell(Method::POST, "/v3/list-chats", &json!({"limit": 2, "include_total": true})).await?;
    assert_eq!((&first["has_more"], &first["total"]), (&json!(true), &json!(3)));
    assert!(first["items"][0].get("transcript").is_none());
    let next = json!({"limit": 2, "pagination_key": first["pagination_key"]});
    let (_, second) = setup.retell(Method::POST, "/v3/list-chats", &next).await?;
    assert_eq!((second["items"].as_array().map(Vec::len), &second["has_more"]), (Some(1), &json!(false)));
    let (status, older) = setup.retell(Method::GET, "/list-chat?limit=2", &Value::Null).await?;
    assert_eq!((status, older.as_array().map(Vec::len)), (200, Some(2)));
    Ok(())
}
