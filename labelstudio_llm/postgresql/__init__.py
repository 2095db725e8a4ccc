"""Django's SQLite backend for a server with threads."""
