# shellcheck shell=bash
# Sourced by `run`: what is measured, and when.

work=$(mktemp -d)
export PGOPTIONS="-c client_min_messages=warning"
running=() # process groups of this script
trap clean_up EXIT

fail() {
    echo "benches/whole/run: $1" >&2
    exit 1
}

clean_up() {
    local group
    for group in "${running[@]}"; do
        kill -KILL -- "-$group" 2>/dev/null || true
    done
    rm -rf "$work"
}

now() {
    date +%s.%N
}

# calc EXPRESSION
calc() {
    awk "BEGIN { printf \"%.3f\", $1 }"
}

# sql DATABASE STATEMENT…: the answer, bare
sql() {
    local database=$1 statement commands=()
    shift
    for statement in "$@"; do
        commands+=(-c "$statement")
    done
    psql -qXAt -v ON_ERROR_STOP=1 "$(url "$database")" "${commands[@]}"
}

# url DATABASE
url() {
    echo "${VITRINA_TEST_POSTGRES_URL%/*}/$1"
}

fresh_database() {
    sql postgres "DROP DATABASE IF EXISTS $1 WITH (FORCE)" "CREATE DATABASE $1" CHECKPOINT
}

# The postmaster: the parent of any backend.
postmaster() {
    sql postgres "SELECT (regexp_match(pg_read_file('/proc/' || pg_backend_pid() || '/status'), 'PPid:\s+(\d+)'))[1]"
}

# cpu PID…: seconds of CPU, with those of dead children; a process may be gone by now.
cpu() {
    { (cd /proc && cat "${@/%//stat}") 2>/dev/null || true; } |
        awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); sum += $12 + $13 + $14 + $15 } END { print sum / hz }'
}

postgres_cpu() {
    local children
    read -ra children <"/proc/$server/task/$server/children" || true
    cpu "$server" "${children[@]}"
}

# peak PID: MiB
peak() {
    awk '/^VmHWM/ { printf "%d", $2 / 1024 }' "/proc/$1/status"
}

# launch COMMAND…: in the background, in a group of its own; `launched` is its process.
launch() {
    : >"$work/log" # what the one before said is not this one's
    set -m
    "$@" </dev/null >"$work/log" 2>&1 &
    set +m
    launched=$!
    running+=("$launched")
}

# stop PID
stop() {
    kill -TERM -- "-$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# when DATABASE TABLE CONDITION PID: waits until the table exists and the condition holds, looking 20 times a second within
# Postgres; prints the time. Fails where the process ends before.
when() {
    local look="DO \$\$ DECLARE seen boolean; BEGIN
        WHILE seen IS NOT TRUE LOOP
            COMMIT; PERFORM pg_sleep(0.05);
            IF to_regclass('$2') IS NOT NULL THEN EXECUTE 'SELECT ' || \$look\$ $3 \$look\$ INTO seen; END IF;
        END LOOP; END \$\$"
    sql "$1" "$look" 'SELECT extract(epoch FROM clock_timestamp())' &
    local looking=$!
    while kill -0 "$looking" 2>/dev/null; do
        if ! kill -0 "$4" 2>/dev/null; then
            kill "$looking"
            tail -n 20 "$work/log" >&2
            fail "the process ended before $3"
        fi
        sleep 0.2
    done
    wait "$looking"
}

# first_row TABLE, last_row TABLE: conditions
first_row() {
    echo "EXISTS (SELECT FROM $1)"
}

last_row() {
    echo "(SELECT count(*) = 4 FROM $1 WHERE order_id IN ('end-0', 'end-1', 'end-2', 'end-3'))"
}

# note WORKLOAD SIDE FIGURE VALUE [FIGURE VALUE]…: one line a figure in the file of samples; all are shown.
note() {
    local workload=$1 side=$2
    printf '%s %s %s' "$number" "$workload" "$side"
    shift 2
    while (($# > 0)); do
        printf '%s %s %s %s %s\n' "$number" "$workload" "$side" "$1" "$2" >>"$samples"
        printf ' %s=%s' "$1" "$2"
        shift 2
    done
    printf ' load=%s\n' "$(cut -d ' ' -f 1 /proc/loadavg)"
}

# produce TOPIC ARGUMENTS…
produce() {
    local topic=$1-$run
    shift
    "$bin/examples/load" produce --topic "$topic" "$@" >&2
}

# A rate over rows that are not there is none.
expect_rows() {
    local found
    found=$(sql bench "SELECT count(*) FROM $1")
    ((found == $2)) || fail "$found rows are in $1, and not $2"
}
