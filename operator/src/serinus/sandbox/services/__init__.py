"""Programs that are not the sandbox's own: Prometheus, MLflow, the operator."""
