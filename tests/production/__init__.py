"""The production shape: what docker-compose.yml says, and the same without Docker."""
