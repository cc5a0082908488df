#!/bin/sh
# Waits until the migration of the version that was just applied is done. Fails as soon as the Job has failed, and shows why;
# `kubectl wait` alone would wait for one of the two conditions until its timeout.
#   deploy/kubernetes/wait-for-migration.sh [TIMEOUT]     default: 1h
set -eu

namespace=${NAMESPACE:-dmrelay}
# The newest, if there are Jobs of several versions.
job=$(kubectl -n "$namespace" get job -l app.kubernetes.io/component=migrate --sort-by=.metadata.creationTimestamp -o name | tail -n 1)
[ -n "$job" ] || { echo "no migration in the namespace $namespace" >&2; exit 1; }
echo "waiting for $job"

kubectl -n "$namespace" wait --for=condition=complete --timeout="${1:-1h}" "$job" > /dev/null &
complete=$!
kubectl -n "$namespace" wait --for=condition=failed --timeout="${1:-1h}" "$job" > /dev/null 2>&1 &
failed=$!
trap 'kill $complete $failed 2>/dev/null || true' EXIT

while kill -0 $complete 2>/dev/null; do
    # Ends with 0 only once the Job has failed.
    if ! kill -0 $failed 2>/dev/null && wait $failed; then
        echo "$job failed:" >&2
        kubectl -n "$namespace" logs --tail 20 "$job" >&2 || true
        exit 1
    fi
    sleep 1
done
wait $complete
