#!/bin/sh
# Upgrades the services to new binaries, as root. The new version migrates the schema while the old one serves: that accepts a newer
# schema. If the migration fails, nothing is replaced or restarted. The old binaries stay as *.old, also when the script is repeated.
#   deploy/systemd/upgrade.sh [FOLDER]     with the new dmrelay-api and dmrelay-worker; default: target/release
#   deploy/systemd/upgrade.sh --rollback   back to the old binaries; the schema stays as it is
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
to=${DMRELAY_PREFIX:-/usr/local/bin}

# The workers one after the other, so that one is always there. Each finishes started work first.
restart_all() {
    systemctl restart dmrelay-api.service
    systemctl list-units --plain --no-legend --state=active 'dmrelay-worker@*' | while read -r unit _; do
        systemctl restart "$unit"
    done
}

if [ "${1:-}" = --rollback ]; then
    for name in dmrelay-api dmrelay-worker; do
        mv "$to/$name.old" "$to/$name"
    done
    restart_all
    exit
fi

from=${1:-target/release}
for name in dmrelay-api dmrelay-worker; do
    install "$from/$name" "$to/$name.new"
done
if ! DMRELAY_BINARY=$to/dmrelay-api.new "$here/dmrelay-admin" migrate; then
    rm "$to/dmrelay-api.new" "$to/dmrelay-worker.new"
    echo 'the migration failed: nothing was replaced, and the old version continues to serve' >&2
    exit 1
fi
# Both binaries are of one version, so *.old changes for both or for neither.
is_new=no
for name in dmrelay-api dmrelay-worker; do
    cmp -s "$to/$name.new" "$to/$name" || is_new=yes
done
# By renaming, because a running program cannot be overwritten.
for name in dmrelay-api dmrelay-worker; do
    [ "$is_new" = no ] || [ ! -e "$to/$name" ] || mv "$to/$name" "$to/$name.old"
    mv "$to/$name.new" "$to/$name"
done
restart_all
