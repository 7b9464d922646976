"""The API for upstream systems, `/v1`: a router for each resource, and what they have in common."""
