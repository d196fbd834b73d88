"""Maps of states: half-maps, honest resolution, local resolution and sharpening, at any point of the latent space."""
