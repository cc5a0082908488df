#!/bin/bash
# Writes deploy/digests.yml, which pins the images that docker-compose.yml takes from registries to what their tags mean now. Needs
# Docker with buildx, and the registries. Run it again after a change of a version. To use the file, in .env:
#   COMPOSE_FILE=docker-compose.yml:deploy/digests.yml
# Images that are built here are pinned by what they are built from: the FROM lines of their Dockerfiles.
set -eu -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

services=$(docker compose --profile '*' config \
    | awk '/^[^ ]/ { inside = $1 == "services:" } inside && /^  [^ ]+:$/ { name = $1 } inside && /^    image: / { print name, $2 }')
{
    echo '# Made by deploy/pin.sh.'
    echo 'services:'
    while read -r name image; do
        case "$image" in
            dmrelay* | *@sha256:*) continue ;;
        esac
        digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
        printf '  %s\n    image: %s@%s\n' "$name" "$image" "$digest"
    done <<< "$services"
} > deploy/digests.yml.new
mv deploy/digests.yml.new deploy/digests.yml
