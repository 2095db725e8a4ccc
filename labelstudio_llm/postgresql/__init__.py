"""Django's PostgreSQL backend for a server with threads."""
