#!/usr/bin/env bash
# Installs what tests/it/sdk.rs needs below target/tools/sdk, by lock files: a Python environment, and the source distribution
# of Retell's Python SDK with its tests. Needs Python 3.11 with venv, and PyPI once.
set -eu -o pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
sdk=$target/tools/sdk
locks=$(cat "$here/requirements.txt" "$here/retell.txt" "${BASH_SOURCE[0]}" | sha256sum)
if [ "$(cat "$sdk/installed" 2>/dev/null)" = "$locks" ]; then exit 0; fi
rm -rf "$sdk"
mkdir -p "$sdk/source"
python3 -m venv "$sdk/venv"
pip=("$sdk/venv/bin/python" -m pip --quiet --disable-pip-version-check)
"${pip[@]}" install --require-hashes --only-binary :all: -r "$here/requirements.txt"
# Not installed: its folder is put on Python's path.
"${pip[@]}" download --no-deps --no-build-isolation --no-binary :all: --require-hashes -r "$here/retell.txt" -d "$sdk/download"
tar xzf "$sdk"/download/retell_sdk-*.tar.gz --strip-components=1 -C "$sdk/source"
echo "$locks" >"$sdk/installed"
