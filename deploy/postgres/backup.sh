#!/bin/bash
# Backs up PostgreSQL with pgBackRest, for deploy/backup.yml.
#   backup.sh              once a day at BACKUP_HOUR (UTC): a full backup every BACKUP_FULL_DAYS days, otherwise what has changed
#   backup.sh now [TYPE]   at once; TYPE is full, diff or incr
#   backup.sh check        fails if the latest backup is older than 26 hours, for the health check
set -eu -o pipefail
export TZ=UTC

hour=${BACKUP_HOUR:-3}
full_days=${BACKUP_FULL_DAYS:-7}
metrics=${BACKUP_METRICS:-/metrics}
day=86400

pgbackrest() { command pgbackrest --stanza=dmrelay "$@"; }

# newest TYPE: when the newest backup of that type (a regular expression) began, in seconds since 1970; 0 without one. Backups from
# before an upgrade of PostgreSQL, which pgBackRest lists first, do not count.
newest() {
    local found
    found=$(pgbackrest info | sed -n '/^ *db (current)/,$p' \
        | sed -nE "s/^ *($1) backup: (.*_)?([0-9]{8})-([0-9]{2})([0-9]{2})([0-9]{2})[FDI]\$/\3 \4:\5:\6/p" | sort | tail -n 1)
    if [ -n "$found" ]; then date -d "$found" +%s; else echo 0; fi
}

# When the last backup was due.
due() {
    local at
    at=$(date -d "$hour:00" +%s)
    if [ "$at" -gt "$(date +%s)" ]; then at=$((at - day)); fi
    echo "$at"
}

# The type of the backup that is due; empty if none is.
due_type() {
    local at
    at=$(due)
    if [ "$(newest '[a-z]+')" -ge "$at" ]; then return; fi
    if [ "$(newest full)" -lt $((at - (full_days - 1) * day)) ]; then echo full; else echo incr; fi
}

# For the node exporter, which reads it from the same volume. Atomic.
write_metrics() {
    local at
    at=$(newest '[a-z]+') || return
    cat > "$metrics/.backup" <<METRICS
# HELP dmrelay_backup_timestamp_seconds When the newest backup began; 0 without one.
# TYPE dmrelay_backup_timestamp_seconds gauge
dmrelay_backup_timestamp_seconds $at
METRICS
    mv "$metrics/.backup" "$metrics/backup.prom"
}

# Interruptible, unlike a foreground process.
child=
wait_for() {
    "$@" &
    child=$!
    wait "$child"
}
trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit 143' TERM INT

back_up() {
    wait_for pgbackrest stanza-create && wait_for pgbackrest --type="$1" backup
}

case "${1:-}" in
    '') ;;
    now)
        back_up "${2:-incr}"
        write_metrics
        exit
        ;;
    check)
        [ "$(newest '[a-z]+')" -gt $(($(date +%s) - 26 * 3600)) ]
        exit
        ;;
    *)
        sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac

while :; do
    if type=$(due_type) && { [ -z "$type" ] || back_up "$type"; }; then
        pause=60
    else
        echo 'backup failed; next attempt in 10 minutes' >&2
        pause=600
    fi
    write_metrics || echo 'the time of the last backup is unknown' >&2
    wait_for sleep "$pause"
done
