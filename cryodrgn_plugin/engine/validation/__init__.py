"""Is it real? Halves trained apart, a permutation test, leakage, consensus, and one page with a verdict."""
