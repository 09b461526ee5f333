"""What disturbs measurements: what the host tells of it, and a word for each kind."""
