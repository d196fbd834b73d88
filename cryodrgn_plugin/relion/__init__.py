"""RELION front: the engine as an External job of RELION 3.1, 4 and 5."""
