"""Stage 2: judges, calibration and the curation rule."""
