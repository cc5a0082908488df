#!/bin/bash
# Run by PostgreSQL's image when the volume is new. dmrelay gets a role that only owns its database: the
# superuser created by the image can run programs on the server. The exporter of the profile `monitoring` gets one that reads
# statistics and no data. Can be run again, for a new password or for roles that an older version did not create:
#   docker compose exec postgres /docker-entrypoint-initdb.d/10-dmrelay.sh
set -eu -o pipefail
export SECRETS=${SECRETS:-/run/secrets}
# psql reads the passwords itself, so that they are not visible in the process arguments.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" <<'SQL'
\set dmrelay `cat "$SECRETS/database_password"`
\set exporter `cat "$SECRETS/postgres_exporter_password"`
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['dmrelay', 'exporter']) name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE dmrelay LOGIN PASSWORD :'dmrelay';
ALTER ROLE exporter LOGIN PASSWORD :'exporter' CONNECTION LIMIT 5;
ALTER DATABASE :"DBNAME" OWNER TO dmrelay;
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO exporter;
GRANT pg_monitor TO exporter;
SQL
