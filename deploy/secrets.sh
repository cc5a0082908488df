#!/bin/sh
# Creates the files with dmrelay's secrets, with random values. Existing files are never changed, so it can be run
# again at any time. It prints no secret.
#
#   deploy/secrets.sh [DIR]           for docker-compose.yml, in ./secrets: with the passwords of its PostgreSQL and Redis
#   deploy/secrets.sh demo [DIR]      for its demo, in ./secrets/demo: with the secrets of the simulated Meta and Retell
#   deploy/secrets.sh server [DIR]    for systemd or Kubernetes, in ./secrets: fill in the URLs of PostgreSQL and Redis
set -eu

kind=compose
case "${1:-}" in
    demo | server) kind=$1; shift ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit ;;
esac
if [ $# -gt 1 ]; then
    echo "usage: $0 [demo|server] [DIR]" >&2
    exit 2
fi
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
case $kind in
    demo) dir=${1:-$root/secrets/demo} ;;
    *) dir=${1:-$root/secrets} ;;
esac

# Only the owner can enter the directory. Compose mounts each file into a container unchanged, with this machine's owner, and the
# processes there run as other users, with ids unused here: the files are readable, and the directory keeps everyone
# else on this machine from them. Elsewhere root or the API server reads the files, so there only the owner can read them.
umask 077
mkdir -p -- "$dir"
chmod 0700 -- "$dir"
case $kind in
    server) mode=0600 ;;
    *) mode=0644 ;;
esac
# Prevents accidental commits of its files.
[ -e "$dir/.gitignore" ] || echo '*' > "$dir/.gitignore"

# put NAME: creates that file from standard input, unless it exists. Atomic.
put() {
    if [ -e "$dir/$1" ]; then
        cat > /dev/null
        return
    fi
    cat > "$dir/.$1.new"
    chmod "$mode" "$dir/.$1.new"
    mv "$dir/.$1.new" "$dir/$1"
    echo "made   $dir/$1"
}

# random BYTES: this many random bytes, as hexadecimal digits.
random() { head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# read_one NAME: the content of the file.
read_one() { cat -- "$dir/$1"; }

printf 'k1:%s\n' "$(head -c 32 /dev/urandom | base64 | tr -d '\n')" | put encryption_keys
# Not used while they are empty.
printf '' | put jwt_secret
printf '' | put oidc_client_secret
printf '' | put instagram_app_secret
printf '' | put facebook_app_secret
printf '' | put smtp_url
printf '' | put media_s3_secret_access_key
printf '' | put transcription_api_key
printf '' | put vision_api_key

if [ "$kind" = demo ]; then
    # For the first steps only: every permission in every subaccount.
    random 32 | put bootstrap_api_key
    # The simulator's own secrets. It is reachable only from this machine.
    printf 'simulated-app-secret' | put meta_app_secrets
    printf 'simulated-verify-token' | put meta_verify_token
    printf 'key_simulated' | put retell_api_key
else
    printf '' | put meta_app_secrets
    random 24 | put meta_verify_token
    printf '' | put retell_api_key
fi

if [ "$kind" = server ]; then
    printf '' | put database_url
    printf '' | put redis_url
else
    random 24 | put postgres_password
    random 24 | put database_password
    # The network of the Compose project is its own.
    printf 'postgres://dmrelay:%s@postgres:5432/dmrelay?sslmode=disable' "$(read_one database_password)" | put database_url
    random 24 | put redis_password
    printf 'redis://dmrelay:%s@redis:6379/0' "$(read_one redis_password)" | put redis_url
    # The exporters of the profile `monitoring`. Redis' takes its password from a JSON object, by address.
    random 24 | put postgres_exporter_password
    random 24 | put redis_exporter_password
    printf '{"redis://exporter@redis:6379":"%s"}' "$(read_one redis_exporter_password)" | put redis_exporter_passwords
    # Without a password a connection may only ping, for the health check; dmrelay may do everything except administration; the
    # exporter reads statistics.
    printf 'user default reset on nopass +ping\nuser dmrelay reset on >%s ~* &* +@all -@admin\nuser exporter reset on >%s %s\n' \
        "$(read_one redis_password)" "$(read_one redis_exporter_password)" \
        '+ping +info +config|get +client|setname +latency|latest +slowlog|len +slowlog|get' | put redis_acl
    random 24 | put grafana_admin_password
    put backup.conf <<CONF
# Read by pgBackRest with deploy/backup.yml. Without this key no backup can be restored.
[global]
repo1-cipher-pass=$(random 32)
# An S3 store instead of BACKUP_FOLDER:
#repo1-type=s3
#repo1-s3-bucket=
#repo1-s3-endpoint=
#repo1-s3-region=
#repo1-s3-key=
#repo1-s3-key-secret=
CONF
fi

# An editor may have replaced a file, with another mode.
find "$dir" -maxdepth 1 -type f ! -name '.*' -exec chmod "$mode" {} +

# ask NAME WHAT: prints what must be filled in.
ask() { [ -s "$dir/$1" ] || echo "empty  $dir/$1: $2"; }

ask retell_api_key "put Retell's API key in"
if [ ! -s "$dir/instagram_app_secret" ] && [ ! -s "$dir/facebook_app_secret" ]; then
    ask meta_app_secrets "put the app secret of your Meta app in (several: comma separated), or one with its app id in
       instagram_app_secret or facebook_app_secret, so that accounts are connected with a click"
fi
if [ "$kind" = server ]; then
    ask database_url "put postgres://user:password@host:5432/database?sslmode=verify-full in"
    ask redis_url "put redis://user:password@host:6379/0 in"
fi
if [ "$kind" != server ] && ! grep -q '^user exporter ' "$dir/redis_acl"; then
    echo "old    $dir/redis_acl: delete it and run this again, so that Redis' exporter can log in"
fi
if [ "$kind" != demo ]; then
    echo "Keep a copy of $dir/encryption_keys apart from the database: no stored token opens without it."
fi
if [ "$kind" = compose ]; then
    echo "Keep a copy of $dir/backup.conf apart from the backups: none opens without it."
fi
