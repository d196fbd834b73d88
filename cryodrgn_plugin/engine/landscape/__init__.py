"""The landscape: every particle in the space of volumes, its states, and the paths between them."""
