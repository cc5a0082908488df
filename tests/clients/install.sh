#!/usr/bin/env bash
# Installs what tests/it/clients.rs needs, by lock files: linters and a generator of TypeScript clients beside this file, and a generator
# of Python clients below target/tools/clients. Needs Node.js, Python 3.11 with venv, and npm's registry and PyPI once.
set -eu -o pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
tools=$target/tools/clients
locks=$(cat "$here/package-lock.json" "$here/requirements.txt" "${BASH_SOURCE[0]}" | sha256sum)
if [ "$(cat "$tools/installed" 2>/dev/null)" = "$locks" ] && [ -d "$here/node_modules" ]; then exit 0; fi
rm -rf "$tools"
mkdir -p "$tools"
# No script of a package runs: one of them would tell its maker.
(cd "$here" && npm ci --ignore-scripts --no-audit --no-fund)
python3 -m venv "$tools/venv"
"$tools/venv/bin/python" -m pip --quiet --disable-pip-version-check install --require-hashes --only-binary :all: -r "$here/requirements.txt"
echo "$locks" >"$tools/installed"
