"""Look into the files that models are stored in, without running them."""
