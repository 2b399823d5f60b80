"""Who may do what: roles, sessions, tokens, and the one dependency that every route declares."""
