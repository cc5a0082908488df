#!/bin/bash
# Writes deploy/digests.yml, which pins the images that docker-compose.yml takes from registries to what their tags mean now. Needs
# Docker with buildx, and the registries. Run it again after each upgrade of this repository: until then the file keeps the images
# of the versions before. To use the file, in .env:
#   COMPOSE_FILE=docker-compose.yml:deploy/digests.yml
# Images that are built here are pinned by what they are built from: the FROM lines of their Dockerfiles. PostgreSQL's is pinned by
# POSTGRES_IMAGE, which takes a digest and which deploy/postgres/upgrade.sh sets.
set -eu -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The tags, not what an earlier run made of them.
files=${COMPOSE_FILE:-}
if [ -z "$files" ] && [ -e .env ]; then
    files=$(sed -n 's/^COMPOSE_FILE=//p' .env | tail -n 1 | tr -d "\"'")
fi
if [ -n "$files" ]; then
    files=:$files:
    files=${files//:deploy\/digests.yml:/:}
    files=${files#:}
    export COMPOSE_FILE=${files%:}
fi

services=$(docker compose --profile '*' config \
    | awk '/^[^ ]/ { inside = $1 == "services:" } inside && /^  [^ ]+:$/ { name = $1 } inside && /^    image: / { print name, $2 }')
{
    echo '# Made by deploy/pin.sh.'
    echo 'services:'
    while read -r name image; do
        case "$name $image" in
            postgres:\ * | *\ dmrelay* | *@sha256:*) continue ;;
        esac
        digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
        printf '  %s\n    image: %s@%s\n' "$name" "$image" "$digest"
    done <<< "$services"
} > deploy/digests.yml.new
mv deploy/digests.yml.new deploy/digests.yml
