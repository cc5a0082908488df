#!/bin/sh
# The demo of docker-compose.yml: connects an account, lets a simulated customer write, and shows the answer. Runs in
# the network of the API and the simulator.
set -eu

api=http://api:8080
simulator=http://simulator:4010/_sim
account=17841400000000001
# A new customer per run: a human may have taken over the chat of an earlier one.
customer=2$(date +%s)0000
question='Do you ship to Norway?'

case "${META:-}" in
    http://simulator:*) ;;
    *)
        echo 'The demo is started with: docker compose --env-file deploy/demo.env up' >&2
        exit 2
        ;;
esac

# post URL JSON [curl's options]
post() {
    url=$1 body=$2
    shift 2
    curl -sS --fail-with-body -X POST -H 'Content-Type: application/json' --data-binary "$body" "$@" "$url"
}

# Through a configuration file, so that the key is not visible in the process arguments.
authorized() { printf 'header = "Authorization: Bearer %s"\n' "$(cat /run/secrets/bootstrap_api_key)"; }

base=$api/api/database/demo/chat-agents/agent_demo/instagram
echo "connecting the account $account"
authorized | post "$base/connect" "{
    \"accessToken\": \"IGAA-demo-token\",
    \"instagramAccountId\": \"$account\",
    \"webhookVerificationToken\": \"simulated-verify-token\"
}" --config - -o /dev/null

echo "customer > $question"
started=$(date +%s)
post "$simulator/act" "{
    \"account\": \"$account\", \"user\": \"$customer\",
    \"action\": {\"kind\": \"text\", \"text\": \"$question\"}
}" -o /dev/null

# The simulated Meta's copy of the conversation; the account's messages are those it accepted from the worker.
while :; do
    answer=$(curl -sS "$simulator/sends?account=$account&user=$customer" | sed -n 's/.*"text":"\([^"]*\)".*/\1/p')
    [ -z "$answer" ] || break
    if [ $(($(date +%s) - started)) -gt 60 ]; then
        echo 'no answer within a minute: docker compose --env-file deploy/demo.env logs api worker' >&2
        exit 1
    fi
    sleep 0.2
done
echo "my_shop  > $answer"
echo
echo "Write as the customer, and see the conversation as Meta has it:"
echo "  curl -sS -X POST http://127.0.0.1:${SIMULATOR_PORT:-4010}/_sim/act -H 'Content-Type: application/json' \\"
echo "    -d '{\"account\":\"$account\",\"user\":\"$customer\",\"action\":{\"kind\":\"text\",\"text\":\"And how fast?\"}}'"
echo "  curl -sS 'http://127.0.0.1:${SIMULATOR_PORT:-4010}/_sim/thread?account=$account&user=$customer'"
echo "The REST API: http://127.0.0.1:${API_PORT:-8080}/api/docs, with the key in secrets/demo/bootstrap_api_key"
echo "Grafana:      http://127.0.0.1:${GRAFANA_PORT:-3000}, user admin, password in secrets/demo/grafana_admin_password"
