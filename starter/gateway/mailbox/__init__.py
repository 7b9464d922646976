"""The mailbox of the embedded stack, `/mailbox`: whoever tries the system out reads the emails as their reader does, and clicks
their links. Everywhere else this page does not exist."""
