"""Commands: tune (with search), doctor, verify, fingerprints, quickstart."""
