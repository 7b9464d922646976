"""The rules of tokens, as pure Python: knows nothing of Temporal, SQL, HTTP or the clock."""
