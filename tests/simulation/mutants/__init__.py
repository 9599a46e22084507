"""Seeded bugs: the proof that each invariant of the checker can fire."""
