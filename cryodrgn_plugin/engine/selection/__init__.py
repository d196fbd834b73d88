"""Which particles go on: by class, by rule, by lasso, by likelihood; and the way back with every column."""
