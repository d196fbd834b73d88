"""Particles as the engine sees them: prepared spectra with their CTF and pose, in batches."""
