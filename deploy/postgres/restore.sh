#!/bin/sh
# Restores PostgreSQL from a backup and the archived WAL, for deploy/backup.yml. PostgreSQL must be stopped. What its data directory
# contains is replaced; roles and permissions are restored, too.
#   restore.sh                                   to the last archived transaction
#   restore.sh --time '2026-11-26 13:45:00+00'   to that moment; with the offset of the time zone
#   restore.sh ... --set LABEL                   from that backup, as `pgbackrest info` names it
set -eu

usage() {
    sed -n '4,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

time='' label=''
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case "$1" in
        --time) time=$2 ;;
        --set) label=$2 ;;
        *) usage ;;
    esac
    shift 2
done
# Without an offset it would be read as UTC.
case "$time" in
    '' | *:*[+-][0-9][0-9] | *:*[+-][0-9][0-9]:[0-9][0-9]) ;;
    *) usage ;;
esac

# pgBackRest refuses while postmaster.pid is there. After a crash of the machine, remove that file by hand.
set -- --stanza=dmrelay --delta
[ -z "$label" ] || set -- "$@" --set="$label"
[ -z "$time" ] || set -- "$@" --type=time "--target=$time" --target-action=promote
pgbackrest "$@" restore
