"""Where data come from: records, download, decoding, and arrays on disk."""
