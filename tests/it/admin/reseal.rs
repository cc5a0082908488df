//! A key rotation while everything keeps running: values of the old key are re-encrypted, and nothing is
//! lost.

use super::admin_with;
use anyhow::{Context, Result, ensure};
use dmrelay_domain::ids::InstagramAccountId;
use dmrelay_domain::secret::Secret;
use dmrelay_store::{Connection, NO_KEY, Renewed, SEALED, Store};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::database::{Database, connect};
use dmrelay_tests::relay::{Backend, open_store};
use dmrelay_tests::rest::{ACCOUNT, TOKEN, connect_body};
use dmrelay_tests::wait;
use dmrelay_vault::{Place, Vault};
use sea_orm::{ConnectionTrait, Statement, TransactionTrait, Value};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

on_both_backends!(values_are_counted_by_key, a_concurrent_write_takes_precedence);

fn vault(keys: &[&str]) -> Result<Vault> {
    Ok(Vault::parse(&Secret::new(keys.join(",")))?)
}

fn token_of(row: Uuid) -> Place {
    Place { table: "instagram_connections", column: "access_token", row }
}

async fn live(store: &Store) -> Result<Connection> {
    let connection = store.live_connection(&InstagramAccountId::parse(ACCOUNT)?).await?;
    connection.context("no connection")
}

/// Replaces an encrypted value directly.
async fn put(store: &Store, column: &str, id: Uuid, value: Vec<u8>) -> Result<()> {
    let db = store.connection();
    let sql = format!("UPDATE instagram_connections SET {column} = $1 WHERE id = $2");
    let values: [Value; 2] = [value.into(), id.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(())
}

async fn values_are_counted_by_key(backend: Backend) -> Result<()> {
    let database = Database::start(backend)?;
    let store = database.open().await?;
    assert_eq!(store.sealed_counts().await?, []);
    let (first, second) =
        (connect(&store, "acme", "1").await?.id.0, connect(&store, "acme", "2").await?.id.0);
    // An access token and a verify token each, none of them encrypted.
    assert_eq!(store.sealed_counts().await?, [(NO_KEY.to_owned(), 4)]);
    let (old, new) =
        (Vault::generate("k1"), Vault::generate("a-longer_id-for-the-second-key-02"[..32].as_ref()));
    put(&store, "access_token", first, vault(&[&old])?.seal(token_of(first), b"1")).await?;
    put(&store, "verify_token", first, vault(&[&old])?.seal(token_of(first), b"")).await?;
    put(&store, "app_secret", first, vault(&[&new])?.seal(token_of(first), b"3")).await?;
    for odd in
        [vec![], vec![1], vec![1, 200, 3], vec![2, 1, b'k', 0], vec![1, 0, 0], vec![1, 2, 0xff, 0xfe, 1]]
    {
        put(&store, "access_token", second, odd.clone()).await?;
        let counts = store.sealed_counts().await?;
        let count = |id: &str| counts.iter().find(|(key, _)| key == id).map_or(0, |(_, n)| *n);
        assert_eq!((count(&id_of(&old)?), count(&id_of(&new)?)), (2, 1), "{odd:?} {counts:?}");
        assert_eq!(count(NO_KEY), 2, "{odd:?} {counts:?}");
    }
    Ok(())
}

async fn a_concurrent_write_takes_precedence(backend: Backend) -> Result<()> {
    let database = Database::start(backend)?;
    let store = database.open().await?;
    let before = connect(&store, "acme", "1").await?;
    let id = before.id.0;
    let (old, new) = (Vault::generate("k1"), Vault::generate("k2"));
    put(&store, "access_token", id, vault(&[&old])?.seal(token_of(id), b"old")).await?;
    let stale = async || -> Result<_> {
        Ok(store.sealed_with_another(SEALED[0], &id_of(&new)?, Uuid::nil(), 10).await?)
    };
    let read = stale().await?;
    assert_eq!(read.len(), 1);
    assert_eq!(store.sealed_with_another(SEALED[0], &id_of(&old)?, Uuid::nil(), 10).await?, []);
    assert_eq!(store.sealed_with_another(SEALED[0], &id_of(&new)?, id, 10).await?, []);
    // A renewal whose call began before the value was re-encrypted is stored.
    let both = vault(&[&new, &old])?;
    assert!(store.reseal(SEALED[0], &read[0], both.seal(token_of(id), b"old")).await?);
    assert_eq!(stale().await?, []);
    let renewed =
        Renewed { access_token: both.seal(token_of(id), b"renewed"), token_proof: None, expires_in: None };
    assert!(store.renew_token(&before, &renewed).await?);
    // The value read before must not overwrite it.
    assert!(!store.reseal(SEALED[0], &read[0], both.seal(token_of(id), b"old")).await?);
    let now = store.connection_by_id(id.into()).await?.context("gone")?;
    assert_eq!(both.open(token_of(id), &now.row.access_token.context("token")?)?.expose(), b"renewed");
    Ok(())
}

/// The id of a key: its name and its fingerprint.
fn id_of(key: &str) -> Result<String> {
    Ok(vault(&[key])?.current_key())
}

/// A cluster with secrets of every kind, all encrypted with the first of these keys, called `k1`.
async fn sealed_with(keys: &[&str]) -> Result<(Cluster, Store)> {
    let cluster = Cluster::start(&[("ENCRYPTION_KEYS", &keys.join(","))]).await?;
    let body = json!({"name": "frontend", "role": "viewer"}).to_string().into_bytes();
    let path = "/api/database/acme/api-keys";
    let made = cluster.rest.request("POST", path, Some(body), &[("idempotency-key", "once")]).await?;
    ensure!(made.status == 201, "{}", made.text);
    let mut body = connect_body();
    body["appSecret"] = json!("app-secret-of-acme");
    let again = cluster.rest.post("connect", body).await?;
    ensure!(again.status == 201, "{}", again.text);
    let store = open_store(&cluster.postgres.url()).await?;
    assert_eq!(store.sealed_counts().await?, [(id_of(keys[0])?, 4)]);
    assert_eq!(anywhere(&store).await?, 4, "a column with encrypted values is missing in SEALED");
    Ok((cluster, store))
}

/// The number of values in the whole database, in any column, that look as if they were encrypted with `k1`.
async fn anywhere(store: &Store) -> Result<i64> {
    let db = store.connection();
    let read = |sql: String| db.query_all_raw(Statement::from_string(db.get_database_backend(), sql));
    let columns = "SELECT table_name::text, column_name::text FROM information_schema.columns \
         WHERE table_schema = 'public' AND data_type = 'bytea'";
    let mut found = 0;
    for row in read(columns.to_owned()).await? {
        let (table, column): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let sealed =
            format!("SELECT COUNT(*) FROM {table} WHERE substr({column}, 1, 5) = '\\x010b6b312e'::bytea");
        found += read(sealed).await?[0].try_get_by_index::<i64>(0)?;
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_key_is_no_longer_needed() -> Result<()> {
    let (old, new) = (Vault::generate("k1"), Vault::generate("k2"));
    let (cluster, store) = sealed_with(&[&old, &new]).await?;
    let both = format!("{new},{old}");
    let keys = [("ENCRYPTION_KEYS", both.as_str())];
    let before = live(&store).await?;
    let (success, dry) = admin_with(&cluster, &["reseal", "--dry-run"], &keys).await?;
    let (k1, k2) = (id_of(&old)?, id_of(&new)?);
    assert!(success && dry.contains(&format!("4 values would be re-encrypted with {k2}")), "{dry}");
    assert!(dry.contains(&format!("{k1} encrypts 4 values: it must stay")), "{dry}");
    assert_eq!(live(&store).await?.row, before.row);

    let (success, done) = admin_with(&cluster, &["reseal"], &keys).await?;
    assert!(success && done.contains(&format!("4 values re-encrypted with {k2}")), "{done}");
    assert!(
        done.contains(&format!(
            "{k1} encrypts nothing: once every process has {k2} first, it can be removed"
        )),
        "{done}"
    );
    assert_eq!(store.sealed_counts().await?, [(k2.clone(), 4)]);
    let after = live(&store).await?;
    let sealed = after.row.access_token.clone().context("token")?;
    assert_eq!(vault(&[&new])?.open(token_of(after.id.0), &sealed)?.expose(), TOKEN.as_bytes());
    // The rest of the row is unchanged.
    let row = dmrelay_store::entity::instagram_connection::Model {
        access_token: before.row.access_token.clone(),
        verify_token: before.row.verify_token.clone(),
        app_secret: before.row.app_secret.clone(),
        ..after.row
    };
    assert_eq!(row, before.row);

    let (success, again) = admin_with(&cluster, &["reseal"], &keys).await?;
    assert!(success && again.contains("0 values re-encrypted"), "{again}");
    for output in [dry, done, again] {
        assert!(
            !output.contains(TOKEN) && !output.contains(&new[3..]) && !output.contains(&old[3..]),
            "{output}"
        );
    }
    // With the new key alone everything starts and decrypts, stored responses too.
    let (success, doctor) =
        admin_with(&cluster, &["doctor", "--accounts"], &[("ENCRYPTION_KEYS", &new)]).await?;
    assert!(!success && doctor.contains(&format!("all by {k2}")), "{doctor}");
    assert!(doctor.contains("1 of 1 asked have a good token"), "{doctor}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undecryptable_value_is_named_and_the_rest_continues() -> Result<()> {
    let (old, new, lost) = (Vault::generate("k1"), Vault::generate("k2"), Vault::generate("k0"));
    let (cluster, store) = sealed_with(&[&old, &new]).await?;
    let id = live(&store).await?.id.0;
    put(&store, "app_secret", id, vault(&[&lost])?.seal(token_of(id), b"secret")).await?;
    // Encrypted for another location.
    put(&store, "verify_token", id, vault(&[&old])?.seal(token_of(id), b"moved-token")).await?;
    let both = format!("{new},{old}");
    let (success, output) = admin_with(&cluster, &["reseal"], &[("ENCRYPTION_KEYS", &both)]).await?;
    assert!(!success && output.contains(&format!("2 values re-encrypted with {}", id_of(&new)?)), "{output}");
    for says in [
        format!(
            "not decrypted: instagram_connections.app_secret of row {id}: encrypted with the key {}",
            id_of(&lost)?
        ),
        format!("not decrypted: instagram_connections.verify_token of row {id}: cannot be decrypted"),
        format!("{} encrypts 1 values: it must stay", id_of(&old)?),
        "2 values could not be decrypted".to_owned(),
    ] {
        assert!(output.contains(&says), "{says}: {output}");
    }
    assert!(!output.contains("moved-token"), "{output}");
    assert_eq!(store.sealed_counts().await?, [(id_of(&lost)?, 1), (id_of(&old)?, 1), (id_of(&new)?, 2)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrent_reconnect_is_not_undone() -> Result<()> {
    let (old, new) = (Vault::generate("k1"), Vault::generate("k2"));
    let (cluster, store) = sealed_with(&[&old, &new]).await?;
    let id = live(&store).await?.id.0;
    let reconnected = vault(&[&old])?.seal(token_of(id), b"token of the reconnect");
    // Another transaction has written the row, but not committed yet.
    let tx = store.connection().begin().await?;
    let sql =
        "UPDATE instagram_connections SET access_token = $1, credential_version = credential_version + 1";
    let values: [Value; 1] = [reconnected.into()];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
    let both = format!("{new},{old}");
    let keys = [("ENCRYPTION_KEYS", both.as_str())];
    let commit = async {
        let db = store.connection();
        let sql = "SELECT 1 AS one FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        wait::until("the reseal waits for the row", Duration::from_secs(15), async || {
            Ok(db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?.map(|_| ()))
        })
        .await?;
        Ok(tx.commit().await?)
    };
    let (run, ()) = tokio::try_join!(admin_with(&cluster, &["reseal"], &keys), commit)?;
    // The reconnect's value was re-encrypted in a second pass.
    assert!(run.0 && run.1.contains(&format!("4 values re-encrypted with {}", id_of(&new)?)), "{}", run.1);
    let after = live(&store).await?;
    let sealed = after.row.access_token.context("token")?;
    assert_eq!(vault(&[&new])?.open(token_of(id), &sealed)?.expose(), b"token of the reconnect");
    Ok(())
}

/// A process that runs without the new key could not read what is encrypted with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_re_encrypted_while_a_process_lacks_the_new_key() -> Result<()> {
    let (old, new) = (Vault::generate("k1"), Vault::generate("k2"));
    let (cluster, store) = sealed_with(&[&old]).await?;
    let both = format!("{new},{old}");
    let keys = [("ENCRYPTION_KEYS", both.as_str())];
    let (success, output) = admin_with(&cluster, &["reseal"], &keys).await?;
    let says = format!("running processes lack {}", id_of(&new)?);
    assert!(!success && output.contains(&says) && output.contains(&id_of(&old)?), "{output}");
    let (success, dry) = admin_with(&cluster, &["reseal", "--dry-run"], &keys).await?;
    assert!(success && dry.contains(&format!("lacks {}: api", id_of(&new)?)), "{dry}");
    assert_eq!(store.sealed_counts().await?, [(id_of(&old)?, 4)]);
    Ok(())
}

/// Another key of the same name decrypts nothing, and would encrypt what the right one cannot read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_with_another_key_of_the_same_name_does_not_start() -> Result<()> {
    let (right, wrong) = (Vault::generate("k1"), Vault::generate("k1"));
    let (cluster, store) = sealed_with(&[&right]).await?;
    let keys = [("ENCRYPTION_KEYS", wrong.as_str())];
    for binary in ["dmrelay-api", "dmrelay-worker"] {
        let (success, says) = cluster.run(binary, &[], &keys).await?;
        assert!(!success, "{binary} starts");
        assert!(says.contains("is a different one") && says.contains(&id_of(&right)?), "{binary}: {says}");
        assert!(says.contains(&id_of(&wrong)?), "{binary}: {says}");
    }
    let (success, doctor) = admin_with(&cluster, &["doctor"], &keys).await?;
    assert!(!success && doctor.contains("4 values are encrypted with the key"), "{doctor}");
    assert!(doctor.contains("is a different one"), "{doctor}");
    let (success, output) = admin_with(&cluster, &["reseal"], &keys).await?;
    assert!(!success && output.contains("running processes lack"), "{output}");
    assert_eq!(store.sealed_counts().await?, [(id_of(&right)?, 4)]);
    Ok(())
}
