"""The HTTP gateway: upstream systems' API, webhooks of the outside parties, prescribers' pages, and the codec endpoints through
which the Temporal UI reads and writes encrypted payloads. `app.py` puts it together; `python -m starter.gateway` serves it."""
