use super::*;
use clap::Parser;

#[derive(Parser)]
struct All {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    queue: QueueSettings,
    #[command(flatten)]
    api: ApiSettings,
    #[command(flatten)]
    graph: GraphSettings,
    #[command(flatten)]
    agent: AgentSettings,
    #[command(flatten)]
    vault: VaultSettings,
    #[command(flatten)]
    worker: WorkerSettings,
    #[command(flatten)]
    log: LogSettings,
    #[command(flatten)]
    metrics: MetricsSettings,
}

#[test]
fn defaults_match_the_documentation() {
    let all = All::parse_from(["x"]);
    assert_eq!(all.agent.agent_timeout, Duration::from_mins(2));
    assert_eq!(all.graph.graph_timeout, Duration::from_secs(20));
    assert_eq!(all.worker.reconcile_grace, Duration::from_secs(30));
    assert_eq!(all.worker.retention_events, Duration::from_hours(168));
    assert_eq!(all.queue.queue_max_waiting, 2_000);
    assert!(all.graph.subscribed_fields.contains(&"messages".to_owned()));
    assert_eq!(all.api.api_addr.port(), 8080);
    assert_eq!((all.api.header_timeout, all.api.api_connections), (Duration::from_secs(65), 10_000));
    assert_eq!(all.log.log_format, LogFormat::Text);
    assert_eq!(all.metrics.metrics_addr.port(), 9090);
}

#[test]
fn a_missing_secret_is_named() {
    let all = All::parse_from(["x"]);
    let err = all.database.url.require().unwrap_err().to_string();
    assert_eq!(err, "DATABASE_URL: is required (or DATABASE_URL_FILE)");
    assert!(all.vault.keys.get().unwrap().is_none());
}

#[test]
fn a_secret_is_read_from_its_file_without_the_line_end() {
    let path = std::env::temp_dir().join(format!("dmrelay-secret-{}", uuid::Uuid::new_v4()));
    std::fs::write(&path, "from a file\n").unwrap();
    let all = All::parse_from(["x", "--retell-api-key-file", path.to_str().unwrap()]);
    assert_eq!(all.agent.api_key.require().unwrap().expose(), "from a file");
    std::fs::remove_file(&path).unwrap();
    let gone = all.agent.api_key.require().unwrap_err().to_string();
    assert!(gone.starts_with("RETELL_API_KEY: cannot read the file "), "{gone}");
}

#[test]
fn secrets_are_not_shown() {
    let all = All::parse_from(["x", "--database-url", "postgres://u:secret@h/d"]);
    assert!(!format!("{:?}", all.database).contains("secret"));
}

#[test]
fn durations_have_units() {
    assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
    assert_eq!(duration("7d"), Ok(Duration::from_hours(168)));
    for bad in ["", "5", "s", "5 s", "-1s", "1w", "99999999999999999999s", "999999999999999999d"] {
        assert!(duration(bad).is_err(), "{bad:?}");
    }
}
