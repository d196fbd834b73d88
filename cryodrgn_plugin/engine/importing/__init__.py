"""What other programs have made, as particle files and runs of ours: trainings, poses, CTFs, latents of any kind."""
