"""An atomic model in the maps of a run: where it lies, its parts that move or come and go, and whether the maps
agree."""
