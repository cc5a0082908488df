#!/bin/bash
# Moves the database of docker-compose.yml to another major version of PostgreSQL: dumps it and restores it into a new volume. The
# API and the workers are stopped meanwhile; Meta delivers again what it sends. The old volume is not changed. If anything fails,
# the old version is started again.
#   deploy/postgres/upgrade.sh IMAGE VOLUME       for example postgres:18.6-bookworm postgres18
set -eu -o pipefail
umask 077

if [ $# -ne 2 ]; then
    sed -n '5s/^# *//p' "$0" >&2
    exit 2
fi
image=$1 volume=$2
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
touch .env
if grep -qx "POSTGRES_VOLUME=$volume" .env; then
    echo "the volume $volume is already in use" >&2
    exit 1
fi
dump=postgres-upgrade.dump

in_postgres() { docker compose exec -T postgres "$@"; }
has_backup() { docker compose config --services | grep -qx backup; }

# The number of rows of each table.
count() {
    in_postgres psql --no-psqlrc --no-align --tuples-only --set ON_ERROR_STOP=1 -U postgres -d dmrelay <<'SQL'
SELECT format('SELECT %L, count(*) FROM %I.%I', tablename, schemaname, tablename)
FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename \gexec
SQL
}

# set_in_env NAME VALUE
set_in_env() {
    sed "/^$1=/d" .env > .env.new
    echo "$1=$2" >> .env.new
    cat .env.new > .env
    rm .env.new
}

go_back() {
    echo 'failed: starting the old version again' >&2
    if [ -e .env.before-upgrade ]; then
        docker compose stop postgres || true
        cat .env.before-upgrade > .env
        rm .env.before-upgrade
    fi
    docker compose up -d
}

services='api worker'
if has_backup; then services="$services backup"; fi
trap go_back ERR
# shellcheck disable=SC2086 # Several words.
docker compose stop $services

echo "dumping to $dump"
in_postgres pg_dump -U postgres --format=custom --no-owner dmrelay > "$dump"
before=$(count)
docker compose stop postgres

cp -p .env .env.before-upgrade
set_in_env POSTGRES_IMAGE "$image"
set_in_env POSTGRES_VOLUME "$volume"
docker compose up -d --build --wait postgres

echo 'restoring'
in_postgres pg_restore -U postgres --role=dmrelay --no-owner --exit-on-error --single-transaction -d dmrelay < "$dump"
in_postgres vacuumdb -U postgres --analyze-only --quiet dmrelay
after=$(count)
[ "$before" = "$after" ]
# The new cluster has its own history in the backups.
if has_backup; then
    docker compose run --rm --no-deps backup pgbackrest --stanza=dmrelay stanza-upgrade
fi
trap - ERR
rm .env.before-upgrade

docker compose up -d
echo "done; once everything works, delete $dump and the old volume (docker volume ls)"
