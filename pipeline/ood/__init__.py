"""Out-of-distribution detection: generated images that are not digits, the detector, and its threshold."""
