"""CCP-EM front: the tasks of RELION's External job as jobs of CCP-EM's pipeliner, and so of Doppio."""
