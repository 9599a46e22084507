"""The Serinus model server: serves one MLflow model over HTTP."""
