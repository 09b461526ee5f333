"""One HTML page from all tables that exist; it needs no other file to be read."""
