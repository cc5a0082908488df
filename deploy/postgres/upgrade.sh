#!/bin/bash
# Moves the database of docker-compose.yml to another major version of PostgreSQL: dumps it and restores it into a new volume. The
# API and the workers are stopped meanwhile; Meta delivers again what it sends. The old volume is not changed. If anything fails or
# the script is interrupted before the new database is complete, the old version is started again.
#   deploy/postgres/upgrade.sh IMAGE VOLUME       for example postgres:18.6-bookworm postgres18
# UPGRADE_SAME_MAJOR=1 allows an image of the same major version.
set -eu -o pipefail
umask 077

if [ $# -ne 2 ]; then
    sed -n '5,6s/^# *//p' "$0" >&2
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
in_backup() { docker compose run --rm --no-deps backup "$@"; }
has_backup() { docker compose config --services | grep -x backup > /dev/null; }
psql_lines() { in_postgres psql --no-psqlrc --no-align --tuples-only --set ON_ERROR_STOP=1 -U postgres -d dmrelay; }

major() {
    local number
    number=$(psql_lines <<< 'SHOW server_version_num') || return
    echo $((number / 10000))
}

# The number of rows of each table.
count() {
    psql_lines <<'SQL'
SELECT format('SELECT %L, count(*) FROM %I.%I', tablename, schemaname, tablename)
FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename \gexec
SQL
}

# What follows a failure must run to its end, even if the terminal is gone.
uninterrupted() {
    trap '' HUP INT TERM
    trap - EXIT
    set +e
}

# Before the new database is complete.
go_back() {
    uninterrupted
    echo 'failed: starting the old version again' >&2
    if [ -n "${POSTGRES_VOLUME:-}" ]; then
        docker compose stop postgres
        unset POSTGRES_IMAGE POSTGRES_VOLUME
        # With deploy/backup.yml both versions have the same tag.
        docker compose up -d --build --wait postgres
        echo "before another attempt, remove the new volume $volume (docker volume ls shows its full name)" >&2
    fi
    docker compose up -d
    exit 1
}

# After that.
go_on() {
    uninterrupted
    echo 'failed, but the new version is in use: starting the rest' >&2
    docker compose up -d
    if has_backup; then
        echo 'it has no backup yet: docker compose exec backup pgbackrest --stanza=dmrelay stanza-upgrade,' \
            'then docker compose exec backup backup.sh now full' >&2
    fi
    exit 1
}

# Compose prefers the environment to .env, which changes only when the new database is complete.
unset POSTGRES_IMAGE POSTGRES_VOLUME
services='api worker'
if has_backup; then services="$services backup"; fi
# Not for ERR, which does not cover functions.
trap go_back EXIT
trap 'exit 1' HUP INT TERM
# Removed, because Docker starts stopped ones again when the machine restarts.
# shellcheck disable=SC2086 # Several words.
docker compose rm --stop --force $services

echo "dumping to $dump"
in_postgres pg_dump -U postgres --format=custom --no-owner dmrelay > "$dump"
before=$(count)
old_major=$(major)
docker compose stop postgres

export POSTGRES_IMAGE=$image POSTGRES_VOLUME=$volume
docker compose up -d --build --wait postgres
new_major=$(major)
if [ "$new_major" = "$old_major" ] && [ "${UPGRADE_SAME_MAJOR:-}" != 1 ]; then
    echo "$image is PostgreSQL $new_major, as before" >&2
    exit 1
fi

echo 'restoring'
in_postgres pg_restore -U postgres --role=dmrelay --no-owner --exit-on-error --single-transaction -d dmrelay < "$dump"
in_postgres vacuumdb -U postgres --analyze-only --quiet dmrelay
after=$(count)
if [ "$before" != "$after" ]; then
    echo 'the new database has other numbers of rows' >&2
    exit 1
fi

# In one step: the file is the old one or the new one.
cp -p .env .env.new
{
    sed '/^POSTGRES_\(IMAGE\|VOLUME\)=/d; $a\' .env
    echo "POSTGRES_IMAGE=$image"
    echo "POSTGRES_VOLUME=$volume"
} > .env.new
trap '' HUP INT TERM
mv .env.new .env
trap go_on EXIT
trap 'exit 1' HUP INT TERM

docker compose up -d api worker
if has_backup; then
    # The new cluster has its own history in the backups, and no backup yet.
    echo 'backing up'
    in_backup pgbackrest --stanza=dmrelay stanza-upgrade
    in_backup backup.sh now full
fi
docker compose up -d
trap - EXIT
echo "done; once everything works, delete $dump and the old volume (docker volume ls)"
