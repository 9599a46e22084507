"""Ways to hold a model in memory and to ask it. Knows no protocol and no web framework."""
