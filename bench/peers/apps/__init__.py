"""What runs in the peers' environments: the least that each one's own documentation shows."""
