"""Stand-ins for the outside parties, as real servers speaking real HTTP and SMTP. They decide nothing by a clock."""
