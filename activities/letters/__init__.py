"""The emails: which letters there are (`catalogue`), what each is told (`facts`), how they become messages (`composing`).

Rendering only. Nothing here sends, stores or looks anything up: the same facts give the same email, byte for byte, so
that a retry composes what the first try composed. The words are in `templates/email/`.
"""
