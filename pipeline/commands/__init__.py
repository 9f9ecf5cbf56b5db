"""Commands beside the stages: tune, doctor, verify."""
