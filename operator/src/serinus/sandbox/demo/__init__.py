"""The demo: the main job with real models, real requests and nothing to install."""
