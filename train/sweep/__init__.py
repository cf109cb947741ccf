"""Sweeps: many training runs with other settings, judged on validation data; run as `edge-msk sweep`."""
