"""What computing and messages cost on a machine: measured, kept in a file, read again."""
