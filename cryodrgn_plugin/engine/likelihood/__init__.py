"""How well images fit volumes: whitened images, normal equations, scores, and how they change near a pose."""
