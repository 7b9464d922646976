#!/bin/sh
# Runs a command that takes its secrets from the environment only: for every variable NAME_FILE, NAME is set to what that file
# holds. Neither `docker inspect` nor the compose file shows them then.
set -eu
for pair in $(env | sed -n 's/^\([A-Z][A-Z0-9_]*\)_FILE=.*/\1/p'); do
    eval "path=\$${pair}_FILE"
    value=$(cat "$path")
    export "$pair=$value"
    unset "${pair}_FILE"
done
exec "$@"
