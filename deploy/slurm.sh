#!/usr/bin/env bash
# A search over the nodes of a Slurm job:
#   sbatch deploy/slurm.sh --space full --corpus book.txt --trials 200
# When its time is nearly up, or when it is pre-empted, the search ends gracefully, the job queues
# again under its number, and goes on with the run where it stood. So it does after a fault from
# outside: a full disk, a lost Ray.
#
# PYTHON   an environment with the project, seen by all nodes (.venv/bin/python)
# STORAGE  a folder that all nodes see, or s3:// (runs/ where sbatch was called)
#SBATCH --job-name=char-lstm-tune
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=char-lstm-tune-%j.log
#SBATCH --signal=B:TERM@180
set -euo pipefail

cd "$SLURM_SUBMIT_DIR"
python=${PYTHON:-.venv/bin/python}
storage=${STORAGE:-$SLURM_SUBMIT_DIR/runs}
run=slurm-$SLURM_JOB_ID # stays the same when the job is queued again
port=$((20000 + SLURM_JOB_ID % 6000 * 2)) # and the next: jobs may share a machine
readonly INTERRUPTED=130 TERMINATED=143 EXTERNAL_FAULT=75
readonly MAX_RESTARTS=20 # after faults: a disk that stays full does not queue for ever
# Since Slurm 22.05 srun does not take this from the job, and Ray would have one core.
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

# Only who has the job's token may talk to its Ray; it is told by the environment alone.
RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$("$python" -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_USAGE_STATS_ENABLED=0

# Before anything is started: who is signalled in the start-up must be queued again too.
status=0
num_signals=0
command=
# shellcheck disable=SC2329 # a trap calls it
interrupt() {
    num_signals=$((num_signals + 1))
    [[ -z $command ]] || kill -TERM "$command" 2>/dev/null || true
}
trap interrupt TERM

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
# The address of its name, as the other nodes know it; /etc/hosts may have 127.0.1.1 for it.
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" \
    bash -c 'hostname --ip-address; hostname --all-ip-addresses' | tr ' ' '\n' |
    awk '/^[0-9.]+$/ && !/^127\./ && !found {print; found = 1}')

started=()
# shellcheck disable=SC2329 # a trap calls it
stop_ray() {
    ((${#started[@]} == 0)) || kill "${started[@]}" 2>/dev/null || true
    wait
}
trap stop_ray EXIT

# Runs what the job's signal is meant for too, and keeps its exit code.
follow() {
    local signals_before=-1
    if ((num_signals > 0)); then
        status=$INTERRUPTED
        return
    fi
    "$@" &
    command=$!
    # A signal that came before its number was known has reached nobody.
    ((num_signals == 0)) || kill -TERM "$command" 2>/dev/null || true
    until ((signals_before == num_signals)); do # a wait ends with a signal, the command later
        signals_before=$num_signals
        status=0
        wait "$command" || status=$?
    done
}

# A job that was cancelled stays so.
requeue() {
    local state
    state=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T) || state=
    if [[ $state == RUNNING || $state == PREEMPTED ]]; then
        scontrol requeue "$SLURM_JOB_ID"
    fi
}

ray=("$python" -m ray.scripts.scripts start --block
    "--num-cpus=$SLURM_CPUS_PER_TASK" "--num-gpus=${SLURM_GPUS_ON_NODE:-0}")
srun --nodes=1 --ntasks=1 --nodelist="$head" "${ray[@]}" \
    --head "--node-ip-address=$address" "--port=$port" "--ray-client-server-port=$((port + 1))" \
    --include-dashboard=false &
started+=($!)
num_others=$((${#nodes[@]} - 1))
if ((num_others > 0)); then
    until (exec 3<>"/dev/tcp/$address/$port") 2>/dev/null; do
        kill -0 "${started[0]}" # the head failed: end
        sleep 1
    done
    srun --nodes="$num_others" --ntasks="$num_others" --exclude="$head" \
        "${ray[@]}" "--address=$address:$port" &
    started+=($!)
fi
follow "$python" -m tune.wait_for_nodes "${#nodes[@]}" --address "$address:$port"
if ((status == 0)); then
    follow "$python" -m tune.run --address "$address:$port" --name "$run" --storage "$storage" \
        --or-resume "$@"
fi
if ((num_signals > 0 && (status == INTERRUPTED || status == TERMINATED))); then
    requeue
elif ((status == EXTERNAL_FAULT && ${SLURM_RESTART_COUNT:-0} < MAX_RESTARTS)); then
    requeue
fi
exit "$status"
