#!/bin/bash
# A training on several machines by Slurm: sbatch torchrun_slurm.sh. torchrun starts a process for each GPU of each
# node; the particles and the folder of the run lie where all nodes see them. Given again, it goes on from the last
# checkpoint, with any number of nodes and GPUs.
#SBATCH --job-name=cryodrgn-plugin
#SBATCH --partition=gpu
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:4
#SBATCH --cpus-per-task=32
#SBATCH --mem=200G
#SBATCH --time=24:00:00

GPUS=4
export OMP_NUM_THREADS=$((SLURM_CPUS_PER_TASK / GPUS))
srun torchrun --nnodes "$SLURM_JOB_NUM_NODES" --nproc-per-node "$GPUS" \
    --rdzv-backend c10d --rdzv-endpoint "$(hostname):29500" --rdzv-id "$SLURM_JOB_ID" \
    -m cryodrgn_plugin.engine.cli train particles.star --out run --recipe paper --device cuda --resume
