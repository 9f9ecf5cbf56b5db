"""Fingerprints: a hash of the result of every numerical kernel that the pipeline uses, to compare processors."""
