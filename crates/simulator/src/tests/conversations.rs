use anyhow::Context;
use serde_json::{Value, json};

use super::{ANNA, SHOP, Setup, answer, code_of};
use crate::{Act, Action};

fn ids(list: &Value) -> Vec<String> {
    let data = list["data"].as_array().cloned().unwrap_or_default();
    data.iter().filter_map(|one| one["id"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn messages_are_listed_newest_first_and_in_pages() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let mut mids: Vec<String> = (0..30).map(|n| setup.sim.say(SHOP, ANNA, format!("m{n}"))).collect();
    mids.reverse();
    let path = format!("/v25.0/me/conversations?platform=instagram&user_id={ANNA}");
    let (_, found) = setup.get(&path).await?;
    let conversation = found["data"][0]["id"].as_str().context("a conversation")?.to_owned();
    assert!(
        found["data"][0]["updated_time"]
            .as_str()
            .is_some_and(|time| time.ends_with("+0000") && time.len() == 24)
    );

    let (_, page) =
        setup.get(&format!("/{conversation}?fields=messages{{id,created_time,from,to,message}}")).await?;
    let first = &page["messages"];
    assert_eq!(ids(first), mids[..25]);
    assert_eq!(first["data"][0]["from"], json!({"id": ANNA, "username": format!("customer_{ANNA}")}));
    assert_eq!(first["data"][0]["to"]["data"][0], json!({"id": SHOP, "username": "shop"}));
    assert_eq!(first["data"][0]["message"], "m29");
    // Older than the newest 20: no details.
    assert!(first["data"][20]["message"].is_null() && first["data"][20]["created_time"].is_string());

    let next = first["paging"]["next"].as_str().context("a next page")?;
    let (_, rest) = answer(setup.client.get(next)).await?;
    assert_eq!(ids(&rest), mids[25..]);
    assert!(rest["paging"]["next"].is_null());

    let (_, few) = setup.get(&format!("/{conversation}/messages?limit=3&fields=id")).await?;
    assert_eq!(ids(&few), mids[..3]);
    Ok(())
}

#[tokio::test]
async fn details_end_with_the_newest_twenty() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let mids: Vec<String> = (0..21).map(|n| setup.sim.say(SHOP, ANNA, format!("m{n}"))).collect();
    let path =
        |mid: &str| format!("/{mid}?fields=id,created_time,from,to,message,attachments,is_unsupported");
    assert_eq!(setup.get(&path(&mids[1])).await?.1["message"], "m1");
    assert_eq!(code_of(&setup.get(&path(&mids[0])).await?).1, 9_000_001);
    setup.sim.act(Act::new(SHOP, ANNA, Action::Unsend { mid: mids[20].clone() }));
    assert_eq!(code_of(&setup.get(&path(&mids[20])).await?).1, 9_000_001);
    Ok(())
}

#[tokio::test]
async fn a_story_mention_is_resolved_by_its_message() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let act = Act::new(SHOP, ANNA, Action::StoryMention { url: "https://example.com/s".to_owned() });
    let mid = setup.sim.act(act).context("a mid")?;
    let (_, message) = setup.get(&format!("/{mid}?fields=story,from")).await?;
    assert_eq!(message["story"]["mention"]["link"], "https://example.com/s");
    assert_eq!(message["from"]["id"], ANNA);
    Ok(())
}

#[tokio::test]
async fn messages_without_a_webhook_are_listed() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.act(Act::new(SHOP, ANNA, Action::text("silent")).withheld());
    let path = "/me/conversations?platform=instagram&fields=id,participants,messages{message}";
    let (_, found) = setup.get(path).await?;
    assert_eq!(found["data"][0]["messages"]["data"][0]["message"], "silent");
    assert_eq!(setup.sim.record(|record| record.pending_deliveries + record.acknowledged), 0);
    Ok(())
}

#[tokio::test]
async fn calls_per_second_can_be_limited() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.configure(|settings| settings.graph.conversation_calls_per_second = Some(0));
    let refused = setup.get("/me/conversations?platform=instagram").await?;
    assert_eq!(code_of(&refused), (400, 80002, None));
    assert_eq!(refused.1["error"]["type"], "OAuthException");
    Ok(())
}
