"""grafana/rules/hosts.yml: in the form of the other alerts, and tested. Its sections in docs/alerts.md are checked with theirs."""

import re
import unittest

from repository import ROOT, document

RULES = [rule for group in document(ROOT / "grafana/rules/hosts.yml")["groups"] for rule in group["rules"]]
CASES = [
    case
    for test in document(ROOT / "grafana/rules/tests/hosts.yml")["tests"]
    for case in test["alert_rule_test"]
]


class Hosts(unittest.TestCase):
    def test_alerts_have_the_form_of_the_others(self):
        for rule in RULES:
            with self.subTest(alert=rule["alert"]):
                self.assertTrue(rule["alert"].startswith("Dmrelay"))
                self.assertIn(rule["labels"]["severity"], ("page", "ticket"))
                self.assertEqual(rule["annotations"].keys(), {"summary", "description", "runbook_url"})
                self.assertEqual(rule["annotations"]["runbook_url"], f"docs/alerts.md#{rule['alert'].lower()}")

    def test_every_alert_and_severity_is_tested_firing_and_quiet(self):
        for rule in RULES:
            name, severity = rule["alert"], rule["labels"]["severity"]
            with self.subTest(alert=name, severity=severity):
                expected = [
                    [alert["exp_labels"]["severity"] for alert in case["exp_alerts"]] for case in CASES if case["alertname"] == name
                ]
                self.assertTrue(any(severity in severities for severities in expected))
                self.assertIn([], expected)

    def test_exporters_are_those_that_prometheus_scrapes(self):
        jobs = {job["job_name"] for job in document(ROOT / "grafana/prometheus.yml")["scrape_configs"]}
        for rule in RULES:
            for job in re.findall(r'job="([^"]+)"', rule["expr"]):
                self.assertIn(job, jobs)


if __name__ == "__main__":
    unittest.main()
