"""How far each strategy scales on described machines, by simulation."""
