"""A particle set and its file put to the test before anything is learnt: damage, copies, transfer function."""
