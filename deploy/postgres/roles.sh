#!/bin/sh
# Makes the databases and their roles, and sets the roles' passwords; harmless when repeated, and how passwords are rotated.
#
#   database             owner (schema, migrations)   in daily use (rows only)
#   tokens               tokens_owner                 tokens_app
#   temporal             temporal_owner               temporal
#   temporal_visibility  temporal_owner               temporal
#
# Takes PGHOST, PGPORT, PGUSER (a superuser), PGPASSWORD and, from with-secrets.sh, one …_PASSWORD for each role.
set -eu

# Passwords go in by standard input: arguments can be seen by everybody on the machine, and `log_statement` is off for them.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname postgres <<SQL
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SELECT format('CREATE ROLE %I LOGIN', name)
  FROM unnest(ARRAY['tokens_owner', 'tokens_app', 'temporal_owner', 'temporal']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE tokens_owner   NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '$TOKENS_OWNER_PASSWORD';
ALTER ROLE tokens_app     NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '$TOKENS_APP_PASSWORD';
ALTER ROLE temporal_owner NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '$TEMPORAL_OWNER_PASSWORD';
ALTER ROLE temporal       NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '$TEMPORAL_PASSWORD';
SELECT format('CREATE DATABASE %I OWNER %I ENCODING ''UTF8'' TEMPLATE template0', name, owner)
  FROM (VALUES ('tokens', 'tokens_owner'), ('temporal', 'temporal_owner'), ('temporal_visibility', 'temporal_owner'))
       AS wanted (name, owner)
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
REVOKE ALL ON DATABASE tokens, temporal, temporal_visibility FROM PUBLIC;
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
GRANT CONNECT ON DATABASE tokens TO tokens_app;
GRANT CONNECT ON DATABASE temporal, temporal_visibility TO temporal;
SQL

# Whatever the owner makes later, its daily user may read and write, and nothing else.
rows_for() {
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname "$1" --set owner="$2" --set daily="$3" <<'SQL'
ALTER SCHEMA public OWNER TO :"owner";
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO :"daily";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"daily";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO :"daily";
SQL
}
rows_for tokens tokens_owner tokens_app
rows_for temporal temporal_owner temporal
rows_for temporal_visibility temporal_owner temporal
echo "The databases and roles are there."
