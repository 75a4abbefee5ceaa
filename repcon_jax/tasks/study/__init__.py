"""Studies from one command: networks trained or loaded, measured on targets, compared, claims judged."""
