#!/bin/sh
# Writes components/monitoring/prometheus-rule.yaml: the rules of grafana/rules in the form of the Prometheus Operator. Run it
# after a change there; tests/deploy/check.sh detects if that was forgotten.
#   deploy/kubernetes/prometheus-rule.sh [FILE]
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
rules=$here/../../grafana/rules
{
    echo '# Made of grafana/rules by deploy/kubernetes/prometheus-rule.sh: change it there.'
    echo 'apiVersion: monitoring.coreos.com/v1'
    echo 'kind: PrometheusRule'
    echo 'metadata:'
    echo '  name: dmrelay'
    echo 'spec:'
    echo '  groups:'
    for file in "$rules"/*.yml; do
        # The content below `groups:`, indented by two more columns.
        sed -e '1,/^groups:/d' -e 's/^./  &/' "$file"
    done
} > "${1:-$here/components/monitoring/prometheus-rule.yaml}"
