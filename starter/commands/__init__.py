"""The `tokens` commands, by what they are about."""
