use super::*;

fn rendered(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render()).unwrap()
}

#[test]
fn metrics_used_by_alerts_exist_from_the_start() {
    let metrics = Metrics::new(Process::Both).unwrap();
    metrics.expect_calls("graph", &["send"]);
    let text = rendered(&metrics);
    for series in [
        "dmrelay_webhook_requests_total{result=\"unsigned\"} 0",
        "dmrelay_leases_rescued_total 0",
        "dmrelay_reply_seconds_count 0",
        "dmrelay_answer_to_sent_seconds_bucket{le=\"5\"} 0",
        "dmrelay_reply_stage_seconds_count{stage=\"debounce\"} 0",
        "dmrelay_outgoing_failures_total{class=\"reauth\",operation=\"send\",service=\"graph\"} 0",
        "dmrelay_build_info{",
    ] {
        assert!(text.contains(series), "{series}");
    }
}

/// What one worker counts for all is shown by no other, and not for longer than it is true.
#[test]
fn what_is_counted_for_all_is_exported_while_it_is_true() {
    let metrics = Metrics::new(Process::Worker).unwrap();
    metrics.conversations_waiting.with_label_values(&["ask"]).set(3);
    let shown = || rendered(&metrics).contains("dmrelay_conversations_waiting{stage=\"ask\"} 3");
    assert!(!shown(), "before anything was counted");
    metrics.counted(Duration::from_mins(1));
    assert!(shown());
    metrics.counted(Duration::ZERO);
    assert!(!shown(), "after counting has failed for a while");
    metrics.counted(Duration::from_mins(1));
    metrics.lost_count();
    assert!(!shown(), "while another worker counts");
}

#[test]
fn a_process_exports_what_belongs_to_its_work() {
    let shown = |process: Process| {
        let metrics = Metrics::new(process).unwrap();
        metrics.counted(Duration::from_mins(1));
        metrics.tokens.with_label_values(&["1d"]).set(0);
        let text = rendered(&metrics);
        ["dmrelay_webhook_requests_total{", "dmrelay_jobs_total{", "dmrelay_tokens{", "dmrelay_build_info{"]
            .map(|series| text.contains(series))
    };
    assert_eq!(shown(Process::Api), [true, false, false, true]);
    assert_eq!(shown(Process::Worker), [false, true, true, true]);
    assert_eq!(shown(Process::Both), [true; 4]);
}

#[test]
fn a_scrape_refreshes_first() {
    let metrics = std::sync::Arc::new(Metrics::new(Process::Both).unwrap());
    let waiting = metrics.inbox_waiting.clone();
    metrics.on_scrape(move || waiting.set(7));
    assert!(rendered(&metrics).contains("dmrelay_inbox_waiting 7"));
}

/// The catalogue explains every exported metric, and only those.
#[test]
fn the_catalogue_lists_every_metric() {
    let catalogue = include_str!("../../../../docs/metrics.md");
    let metrics = Metrics::new(Process::Both).unwrap();
    metrics.expect_calls("graph", &["send"]);
    metrics.db_pool.with_label_values(&["used"]);
    metrics.dependency("redis", true, Duration::ZERO);
    metrics.http_seconds.with_label_values(&["status", "200"]);
    metrics.counted(Duration::from_mins(1));
    for gauges in [
        &metrics.queue_depth,
        &metrics.dead_letters,
        &metrics.connections,
        &metrics.tokens,
        &metrics.sealed_secrets,
        &metrics.conversations_waiting,
        &metrics.conversations_late,
    ] {
        gauges.with_label_values(&["x"]);
    }
    metrics.oldest_due_seconds.with_label_values(&["turn"]);
    metrics.oldest_unanswered_seconds.with_label_values(&["ask"]);
    metrics.circuit_breakers_open.with_label_values(&["agent", "failing"]);
    for family in metrics.registry.gather() {
        let labels: Vec<&str> =
            family.get_metric()[0].get_label().iter().map(prometheus::proto::LabelPair::name).collect();
        let name = family.name();
        if name.starts_with("process_") {
            continue;
        }
        let listed = catalogue.lines().find(|line| {
            line.strip_prefix("| `").is_some_and(|rest| rest.split(['`', '{']).next() == Some(name))
        });
        let line = listed.unwrap_or_else(|| panic!("docs/metrics.md does not list {name}"));
        for label in labels {
            assert!(line.contains(label), "docs/metrics.md does not name the label {label} of {name}");
        }
    }
}
