"""What can be known of a particle set before hours are spent on it: verdicts in plain words, within seconds."""
