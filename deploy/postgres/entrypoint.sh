#!/bin/sh
# Starts PostgreSQL with continuous archiving, for deploy/backup.yml: the image's entrypoint, with more options. A segment of the WAL
# is removed only after it is archived: while archiving fails, PostgreSQL keeps them all and tries again.
set -eu
exec docker-entrypoint.sh "$@" \
    -c wal_level=replica \
    -c archive_mode=on \
    -c 'archive_command=pgbackrest --stanza=dmrelay archive-push %p' \
    -c archive_timeout=60 \
    -c "unix_socket_directories=${POSTGRES_SOCKETS:-/var/run/postgresql,/run/dmrelay-postgres}"
