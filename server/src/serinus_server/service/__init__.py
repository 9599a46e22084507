"""What the server does, whatever protocol asks for it. Knows no web framework."""
