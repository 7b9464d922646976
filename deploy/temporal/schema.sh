#!/bin/sh
# Brings Temporal's two databases to the schema of this release; harmless when repeated. Run it before a newer server starts.
# Takes SQL_HOST, SQL_PORT, SQL_USER, SQL_PLUGIN and, from with-secrets.sh, SQL_PASSWORD.
set -eu

to_newest() {
    # The first call refuses where the versions' table is there already.
    temporal-sql-tool --database "$1" setup-schema --version 0.0 2> /dev/null || true
    temporal-sql-tool --database "$1" update-schema --schema-name "$2"
}
to_newest temporal postgresql/v12/temporal
to_newest temporal_visibility postgresql/v12/visibility
