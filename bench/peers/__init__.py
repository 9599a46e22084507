"""What the model server is compared with: how each is installed, started and asked."""
