#!/bin/sh
# Makes the namespace where it is not there yet. Takes TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and RETENTION.
set -eu

# A server that has just come up refuses for some seconds yet.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" > /dev/null 2>&1; then
        echo "The namespace $TEMPORAL_NAMESPACE is there."
        exit 0
    fi
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION" || sleep 1
done
echo "The namespace $TEMPORAL_NAMESPACE can't be made; what was said above tells why." >&2
exit 1
