"""Files of the field, read and written: star tables, MRC stacks and maps, cryoSPARC and cryoDRGN particle lists."""
