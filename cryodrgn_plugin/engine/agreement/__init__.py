"""Which species several searches of the same particles have found together."""
