"""Commands: tune (with search), doctor, verify, quickstart."""
