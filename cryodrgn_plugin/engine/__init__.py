"""The reconstruction engine: particles in, a run folder out. It imports nothing of any host."""
