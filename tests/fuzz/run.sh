#!/usr/bin/env bash
# Tries the OpenAPI document against a running API (Schemathesis): no 5xx, no answer that the document does not allow.
# Arguments are Schemathesis's, after these.
set -eu -o pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
venv=$target/tools/fuzz
if ! cmp -s "$here/requirements.txt" "$venv/installed"; then
	python3 -m venv "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
	cp "$here/requirements.txt" "$venv/installed"
fi
work=$(mktemp -d)
# Whatever the tools leave behind goes with it.
cd "$work"
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
api=127.0.0.1:$(free_port)
# Limits are tested elsewhere; streams end at once, so that calling one ends.
RATE_PER_PRINCIPAL=100000 BURST_PER_PRINCIPAL=100000 RATE_PER_ADDRESS=100000 BURST_PER_ADDRESS=100000 \
	EVENT_STREAM_TIME=50ms API_ADDR=$api SIMULATOR_ADDR=127.0.0.1:$(free_port) DMRELAY_DATA=$work/data \
	"$target/debug/dmrelay" >"$work/log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do
	if curl -sf "http://$api/readyz" >/dev/null; then break; fi
	sleep 0.2
done
key=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["apiKey"])' "$work/data/keys.json")
outcome=0
"$venv/bin/schemathesis" --config-file "$here/schemathesis.toml" run "http://$api/api/openapi.json" \
	--header "Authorization: Bearer $key" --checks all --continue-on-failure --max-examples "${EXAMPLES:-300}" \
	--workers 1 "$@" || outcome=$?
if ! kill -0 $server 2>/dev/null; then
	echo "the API ended" >&2
	outcome=1
fi
if [ $outcome -ne 0 ]; then tail -50 "$work/log" >&2; fi
exit $outcome
