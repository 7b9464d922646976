"""What the processes tell of themselves: logs, metrics, traces, and whether they live and can work. Nothing here holds a name,
an email, an address or a secret: ids, kinds, counts and times only."""
