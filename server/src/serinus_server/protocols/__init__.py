"""What clients speak: pure codecs between bytes and the service's types, and thin routes."""
