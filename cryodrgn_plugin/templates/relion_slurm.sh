#!/bin/bash
# RELION's submission script for Slurm: name it as "Standard submission script" on the Running tab (or by
# RELION_QSUB_TEMPLATE), with "Queue submit command" sbatch. An External job runs as one task with "Number of threads"
# threads. XXXextra1XXX is the number of GPUs and XXXextra2XXX the memory in GB (RELION_QSUB_EXTRA_COUNT=2,
# RELION_QSUB_EXTRA1="GPUs", RELION_QSUB_EXTRA2="Memory (GB)"). A training has a process on each GPU.
#SBATCH --job-name=XXXnameXXX
#SBATCH --partition=XXXqueueXXX
#SBATCH --output=XXXoutfileXXX
#SBATCH --error=XXXerrfileXXX
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=XXXthreadsXXX
#SBATCH --gres=gpu:XXXextra1XXX
#SBATCH --mem=XXXextra2XXXG

export CRYODRGN_PLUGIN_PROCESSES=gpu
XXXcommandXXX
