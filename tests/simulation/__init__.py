"""A deterministic simulation of the operator: its real code, virtual time, one thread, injected faults."""
