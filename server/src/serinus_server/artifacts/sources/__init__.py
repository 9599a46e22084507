"""Where models come from: one module for each kind of URI, all through one ``Job``."""
