#!/bin/bash
# Run by PostgreSQL's image when the volume is new. dmrelay gets a role that only owns its database: the
# superuser created by the image can run programs on the server.
set -eu -o pipefail
# psql reads the password itself, so that it is not visible in the process arguments.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set password `cat /run/secrets/database_password`
CREATE ROLE dmrelay LOGIN PASSWORD :'password';
ALTER DATABASE :"DBNAME" OWNER TO dmrelay;
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
SQL
