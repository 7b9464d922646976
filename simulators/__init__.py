"""Stand-ins for the outside parties, as real servers speaking real HTTP and SMTP. They decide nothing by a clock.

`vendor`, `carrier` and `directory` are HTTP servers, `mail` is an SMTP server; each runs as `python -m simulators.<name>` or
inside a test, keeps what it has done on disk, and has switches for faults. `devices` is what people hold in their hands.
"""
