#!/usr/bin/env bash
# `sbatch deploy/slurm.sh INPUT OUTPUT`: 16 jobs, a sixteenth of the units each. See docs/scale.md.
#SBATCH --job-name=sentiment-batch
#SBATCH --array=0-15
#SBATCH --cpus-per-task=32
#SBATCH --mem=24G
#SBATCH --time=24:00:00
#SBATCH --requeue
set -euo pipefail
.venv/bin/sentiment batch "$1" --output "$2" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
