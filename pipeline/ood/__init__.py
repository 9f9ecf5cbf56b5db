"""Out-of-distribution detection: images that are not digits, and the detector that rejects them."""
