use super::*;

fn rendered(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render()).unwrap()
}

#[test]
fn metrics_used_by_alerts_exist_from_the_start() {
    let metrics = Metrics::new("test").unwrap();
    metrics.expect_calls("graph", &["send"]);
    let text = rendered(&metrics);
    for series in [
        "dmrelay_webhook_requests_total{result=\"unsigned\"} 0",
        "dmrelay_dead_letters{class=\"window_closed\"} 0",
        "dmrelay_leases_rescued_total 0",
        "dmrelay_reply_seconds_count 0",
        "dmrelay_answer_to_sent_seconds_bucket{le=\"5\"} 0",
        "dmrelay_reply_stage_seconds_count{stage=\"debounce\"} 0",
        "dmrelay_outgoing_failures_total{class=\"reauth\",operation=\"send\",service=\"graph\"} 0",
        "dmrelay_gates_closed{cause=\"failing\",gate=\"agent\"} 0",
        "dmrelay_build_info{",
    ] {
        assert!(text.contains(series), "{series}");
    }
}

#[test]
fn a_scrape_refreshes_first() {
    let metrics = std::sync::Arc::new(Metrics::new("test").unwrap());
    let waiting = metrics.inbox_waiting.clone();
    metrics.on_scrape(move || waiting.set(7));
    assert!(rendered(&metrics).contains("dmrelay_inbox_waiting 7"));
}

/// The catalogue explains every exported metric, and only those.
#[test]
fn the_catalogue_lists_every_metric() {
    let catalogue = include_str!("../../../../docs/metrics.md");
    let metrics = Metrics::new("test").unwrap();
    metrics.expect_calls("graph", &["send"]);
    metrics.db_pool.with_label_values(&["used"]);
    metrics.dependency("redis", true, Duration::ZERO);
    metrics.http_seconds.with_label_values(&["status", "200"]);
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
