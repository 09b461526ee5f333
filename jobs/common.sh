# What the ready scripts share; sourced from the repository's folder, where sbatch was typed.

PYTHON=${PYTHON:-.venv/bin/python}
RESULTS=${RESULTS:-results}
[[ -x $PYTHON ]] || { echo "error: $PYTHON is absent; expected 'make setup' before" >&2; exit 2; }

# Run a command, and pass on to it what Slurm tells the batch shell: USR1 before the time limit,
# TERM when the job is preempted or cancelled. `wait` returns at each signal, so it stands in a loop.
pass_signals() {
  "$@" &
  local child=$! code=0
  trap 'kill -USR1 $child 2>/dev/null' USR1
  trap 'kill -TERM $child 2>/dev/null' TERM
  while :; do
    code=0
    wait $child || code=$?
    kill -0 $child 2>/dev/null || break
  done
  trap - USR1 TERM
  return $code
}

# measure STUDY FIGURE: this task's replicate of experiments/STUDY.toml, then table and figure of
# all that has ended so far; the array's last task draws the whole.
measure() {
  local code=0
  local study=experiments/$1.toml
  local which=(${PRESET:+--preset "$PRESET"} --results "$RESULTS")
  pass_signals "$PYTHON" -m harness run "$study" "${which[@]}" \
    --by replicates --index "$SLURM_ARRAY_TASK_ID" || code=$?
  "$PYTHON" -m harness collect "$study" "${which[@]}"
  "$PYTHON" -m plots "$2" "$RESULTS/$1.csv"
  return $code
}
