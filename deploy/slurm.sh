#!/usr/bin/env bash
# A search over the nodes of a Slurm job:
#   sbatch deploy/slurm.sh --space full --corpus book.txt --trials 200
# When its time is nearly up, or when it is pre-empted, the search ends gracefully, the job queues
# again under its number, and goes on with the run where it stood. So it does after a fault from
# outside: a full disk, a lost Ray.
#
# PYTHON      an environment with the project, seen by all nodes (.venv/bin/python)
# STORAGE     a folder that all nodes see, or s3:// (runs/ where sbatch was called)
# RAY_TMPDIR  a folder on each node's own disk, with a short path (/tmp)
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
export PYTHON=${PYTHON:-.venv/bin/python}
storage=${STORAGE:-$SLURM_SUBMIT_DIR/runs}
run=slurm-$SLURM_JOB_ID # stays the same when the job is queued again
port=$((20000 + SLURM_JOB_ID % 6000 * 2)) # and the next: jobs may share a machine
# Ray's own choice, /tmp/ray, is that of another user where jobs share a machine.
export RAY_TMPDIR=${RAY_TMPDIR:-/tmp}/ray-$SLURM_JOB_ID
readonly SOME_NODES=3 INTERRUPTED=130 TERMINATED=143 EXTERNAL_FAULT=75
readonly MAX_FAULTS=20 # in a row: a disk that stays full does not queue for ever
readonly START_SECONDS=600
faults=$SLURM_SUBMIT_DIR/$run.faults # how many there were
# Since Slurm 22.05 srun does not take this from the job, and Ray would have one core.
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

# Only who has the job's token may talk to its Ray; it is told by the environment alone.
RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$("$PYTHON" -c 'import secrets; print(secrets.token_hex(32))')
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

# On each node. Ray 2.60 would take the machine's memory for the job's, and leave its files.
# shellcheck disable=SC2329 # on_node has its text
start_ray() {
    local memory asked store ray status=0
    mkdir --mode=700 "$RAY_TMPDIR" 2>/dev/null || [[ -O $RAY_TMPDIR && ! -L $RAY_TMPDIR ]] || {
        echo "$(hostname): $RAY_TMPDIR must be a folder of this job's" >&2
        return 1
    }
    memory=$("$PYTHON" -c 'from model.system.limits import free_bytes; print(free_bytes())')
    # Slurm names at most one of them, in MiB.
    asked=$((${SLURM_MEM_PER_CPU:-0} * SLURM_CPUS_PER_TASK))
    asked=$((asked + ${SLURM_MEM_PER_GPU:-0} * ${SLURM_GPUS_ON_NODE:-0}))
    asked=$((${SLURM_MEM_PER_NODE:-$asked} << 20))
    ((asked == 0 || asked > memory)) || memory=$asked
    # The store is as large as by default; an upper limit leaves it to Ray what /dev/shm holds.
    store=$((memory * 3 / 10))
    RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES=$store "$PYTHON" -m ray.scripts.scripts start \
        --block "--memory=$((memory - store))" "--num-cpus=$SLURM_CPUS_PER_TASK" \
        "--num-gpus=${SLURM_GPUS_ON_NODE:-0}" "$@" &
    ray=$!
    trap 'kill "$ray" || true' TERM
    while kill -0 "$ray" 2>/dev/null; do # a wait ends with a signal, Ray later
        status=0
        wait "$ray" || status=$?
    done
    rm -rf "$RAY_TMPDIR"
    return "$status"
}
on_node=(bash -c "set -euo pipefail; $(declare -f start_ray); start_ray \"\$@\"" start_ray)

search() {
    srun --nodes=1 --ntasks=1 --nodelist="$head" "${on_node[@]}" \
        --head "--node-ip-address=$address" "--port=$port" \
        "--ray-client-server-port=$((port + 1))" --include-dashboard=false &
    started+=($!)
    local deadline=$((SECONDS + START_SECONDS))
    until (exec 3<>"/dev/tcp/$address/$port") 2>/dev/null; do
        if ((num_signals > 0)); then
            status=$INTERRUPTED
            return
        fi
        if ! kill -0 "${started[0]}" 2>/dev/null || ((SECONDS > deadline)); then
            status=$EXTERNAL_FAULT # the first node's Ray has ended, or hangs: there are no nodes
            return
        fi
        sleep 0.2
    done
    local num_others=$((${#nodes[@]} - 1))
    if ((num_others > 0)); then
        # One that fails ends no other.
        srun --nodes="$num_others" --ntasks="$num_others" --exclude="$head" \
            --kill-on-bad-exit=0 --wait=0 "${on_node[@]}" "--address=$address:$port" &
        started+=($!)
    fi
    follow "$PYTHON" -m tune.wait_for_nodes "${#nodes[@]}" --address "$address:$port"
    ((status == 0 || status == SOME_NODES)) || return 0
    follow "$PYTHON" -m tune.run --address "$address:$port" --name "$run" --storage "$storage" \
        --or-resume "$@"
}

search "$@"
if ((status == EXTERNAL_FAULT)); then
    num_faults=$(cat "$faults" 2>/dev/null) || num_faults=0
    # Where the disk has no room for the number, all restarts count.
    echo $((num_faults + 1)) >"$faults" || num_faults=${SLURM_RESTART_COUNT:-0}
    ((num_faults >= MAX_FAULTS)) || requeue
else
    rm -f "$faults" || true
    if ((num_signals > 0 && (status == INTERRUPTED || status == TERMINATED))); then
        requeue
    fi
fi
exit "$status"
