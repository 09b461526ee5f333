"""What a scheduler was asked to run, and how it stands; no scheduler is named here."""
