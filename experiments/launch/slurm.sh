#!/usr/bin/env bash
# A Slurm batch script for one or several nodes: sbatch [OPTIONS] slurm.sh ARGUMENTS OF repcon_jax
#SBATCH --job-name=repcon_jax
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.txt
#SBATCH --signal=TERM@120
set -uo pipefail

# Slurm warns two minutes before the end, the program saves and exits with 143, and the job queues up again. Preemption
# also reaches this script, which has to outlive it.
trap : TERM
auto=()
if [ "${SLURM_JOB_NUM_NODES:-1}" -gt 1 ]; then auto=(--distributed auto); fi

# Under Slurm JAX gives a process one GPU, but here one process has all of its node's.
if [ -n "${SLURM_GPUS_ON_NODE:-}" ]; then
    JAX_LOCAL_DEVICE_IDS=$(seq -s, 0 "$((SLURM_GPUS_ON_NODE - 1))")
    export JAX_LOCAL_DEVICE_IDS
fi
# srun does not take this over from sbatch.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

# Where one host fails, the others wait for it: five minutes and no longer.
srun --wait=300 .venv/bin/python -m repcon_jax "$@" "${auto[@]}"
code=$?
# 3: another host was lost, and its node may be replaced.
if [ "$code" -ne 143 ] && [ "$code" -ne 3 ]; then exit "$code"; fi

limit=${REPCON_MAX_RESTARTS:-100}
if [ "${SLURM_RESTART_COUNT:-0}" -ge "$limit" ]; then
    echo "error: the job was queued $limit times and is not done; submit it again with more --time." >&2
    exit 1
fi
echo "Saved; job $SLURM_JOB_ID queues up again and goes on from here."
scontrol requeue "$SLURM_JOB_ID"
