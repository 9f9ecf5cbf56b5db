"""What the data are: records of where they come from, fetching, decoding, and arrays on disk."""
