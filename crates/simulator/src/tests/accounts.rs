use serde_json::json;

use super::{ANNA, PAGE, PAGE_SHOP, SHOP, Setup, answer, code_of};
use crate::{AccountSpec, Act, Action, Person, TokenState};

#[tokio::test]
async fn the_app_scoped_id_is_not_the_professional_id() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let (status, me) = setup.get("/v25.0/me?fields=id,user_id,username,account_type").await?;
    assert_eq!((status, me["user_id"].as_str(), me["username"].as_str()), (200, Some(SHOP), Some("shop")));
    assert_ne!(me["id"], SHOP);
    // Neither names an edge: messages go to `me` or the professional id.
    let app_scoped = me["id"].as_str().unwrap_or_default();
    let refused = setup.post(&format!("/{app_scoped}/messages"), &super::text_to(ANNA, "x")).await?;
    assert_eq!(code_of(&refused), (400, 100, Some(33)));
    let refused = setup.get("/me?fields=nonsense").await?;
    assert_eq!(code_of(&refused).1, 100);
    Ok(())
}

#[tokio::test]
async fn a_page_leads_to_its_account() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    for path in ["/me", &format!("/v25.0/{PAGE}")] {
        let (_, page) =
            setup.page_get(&format!("{path}?fields=instagram_business_account{{id,username}}")).await?;
        assert_eq!(page["id"], PAGE);
        assert_eq!(page["instagram_business_account"], json!({"id": PAGE_SHOP, "username": "page_shop"}));
    }
    let (_, account) = setup.page_get(&format!("/{PAGE_SHOP}?fields=username,name")).await?;
    assert_eq!(account, json!({"id": PAGE_SHOP, "username": "page_shop", "name": "page_shop"}));
    Ok(())
}

#[tokio::test]
async fn a_token_works_only_on_its_host_and_until_it_expires() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let other_host = format!("{}/me", setup.sim.graph_url());
    let refused = answer(setup.client.get(&other_host).bearer_auth("IGAA-shop")).await?;
    assert_eq!(code_of(&refused), (400, 190, None));
    let in_query = format!("{}/me?access_token=IGAA-shop", setup.sim.instagram_url());
    assert_eq!(answer(setup.client.get(&in_query)).await?.0, 200);
    for (state, subcode) in
        [(TokenState::Expired, 463), (TokenState::Revoked, 460), (TokenState::AppRemoved, 458)]
    {
        setup.sim.set_tokens(SHOP, state);
        assert_eq!(code_of(&setup.get("/me").await?), (400, 190, Some(subcode)));
    }
    Ok(())
}

#[tokio::test]
async fn errors_name_their_host() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let (_, instagram) = setup.get("/nothing").await?;
    let (_, facebook) = setup.page_get("/nothing").await?;
    assert_eq!(instagram["error"]["type"], "IGApiException");
    assert_eq!(facebook["error"]["type"], "OAuthException");
    setup.sim.configure(|settings| settings.graph.app_restricted = true);
    let restricted = setup.get("/me").await?;
    assert_eq!(code_of(&restricted), (400, 100, None));
    assert_eq!(restricted.1["error"]["message"], "Unsupported request - method type: get");
    assert_eq!(code_of(&setup.send_text("x").await?), (400, 100, None));
    assert_eq!(setup.sim.record(|record| record.calls_of("graph.send")), 1);
    Ok(())
}

#[tokio::test]
async fn a_missing_permission_is_an_error() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let spec = AccountSpec::new(SHOP, "shop", "IGAA-shop");
    setup
        .sim
        .put_account(AccountSpec { permissions: Some(vec!["instagram_business_basic".to_owned()]), ..spec });
    assert_eq!(setup.get("/me").await?.0, 200);
    assert_eq!(code_of(&setup.get("/me/conversations?platform=instagram").await?), (403, 10, None));
    assert_eq!(code_of(&setup.send_text("x").await?), (403, 10, None));
    Ok(())
}

#[tokio::test]
async fn a_token_is_refreshed_when_it_is_a_day_old() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let path = "/refresh_access_token?grant_type=ig_refresh_token&access_token=IGAA-shop";
    let (status, fresh) = setup.get(path).await?;
    assert_eq!((status, fresh["token_type"].as_str()), (200, Some("bearer")));
    let token = fresh["access_token"].as_str().unwrap_or_default();
    let me = format!("{}/me", setup.sim.instagram_url());
    assert_eq!(answer(setup.client.get(&me).bearer_auth(token)).await?.0, 200);
    // The new one is too young.
    let again = format!("{}/refresh_access_token?grant_type=ig_refresh_token", setup.sim.instagram_url());
    assert_eq!(code_of(&answer(setup.client.get(&again).bearer_auth(token)).await?).1, 100);
    Ok(())
}

#[tokio::test]
async fn one_unknown_field_fails_the_whole_subscription() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.put_account(AccountSpec::new(SHOP, "shop", "IGAA-shop"));
    let path = |fields: &str| format!("/v25.0/{SHOP}/subscribed_apps?subscribed_fields={fields}");
    let refused = setup.post(&path("messages,message_echoes"), &json!({})).await?;
    assert_eq!(code_of(&refused), (400, 100, None));
    assert_eq!(setup.sim.subscribed_fields(SHOP), None);
    assert_eq!(
        setup.post(&path("messages,messaging_seen"), &json!({})).await?,
        (200, json!({"success": true}))
    );
    let (_, listed) = setup.get("/me/subscribed_apps").await?;
    assert_eq!(listed["data"][0]["subscribed_fields"], json!(["messages", "messaging_seen"]));
    // A Page has other fields.
    let page = |fields: &str| format!("/me/subscribed_apps?subscribed_fields={fields}");
    assert_eq!(code_of(&setup.page_post(&page("messaging_seen"), &json!({})).await?).1, 100);
    assert_eq!(setup.page_post(&page("feed,message_echoes"), &json!({})).await?.0, 200);
    let delete = format!("{}/me/subscribed_apps", setup.sim.instagram_url());
    answer(setup.client.delete(delete).bearer_auth("IGAA-shop")).await?;
    assert_eq!(setup.get("/me/subscribed_apps").await?.1, json!({"data": []}));
    Ok(())
}

#[tokio::test]
async fn a_profile_is_shown_once_the_person_has_written() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let path = format!("/v25.0/{ANNA}?fields=name,username,profile_pic");
    assert_eq!(code_of(&setup.get(&path).await?), (400, 100, Some(33)));
    setup.sim.act(Act::new(
        SHOP,
        ANNA,
        serde_json::from_value::<Action>(json!({"kind": "comment", "text": "nice"}))?,
    ));
    assert_eq!(code_of(&setup.get(&path).await?), (400, 230, None));
    let person: Person = serde_json::from_value(json!({"name": null, "username": "anna"}))?;
    setup.sim.set_person(SHOP, ANNA, person);
    setup.sim.say(SHOP, ANNA, "hi");
    assert_eq!(setup.get(&path).await?, (200, json!({"id": ANNA, "username": "anna"})));
    Ok(())
}
