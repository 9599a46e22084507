"""The model's bytes: fetched into a private folder, measured, and admitted before they run."""
