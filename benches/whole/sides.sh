# shellcheck shell=bash
# Sourced by `run`: who is measured. Each call is one sample, with a database of its own.

declare -A states=([W1]=1 [W2]=4)
few=${FEW:-300000} # events for those who are slow
read_seconds=${READ_SECONDS:-5}
server=$(postmaster)

floor1() { by_hand "$1" 1; }
floor2() { by_hand "$1" 2; }
vitrina1() { vitrina "$1" vitrina1 "$events" $'[model]\nconcurrency = 1'; }
vitrina2() { vitrina "$1" vitrina2 "$events" $'[model]\nconcurrency = 2'; }

# by_hand WORKLOAD CONNECTIONS
by_hand() {
    local before seconds
    fresh_database bench
    psql -qX -v ON_ERROR_STOP=1 "$(url bench)" -f "$root/benches/load/table.sql"
    before=$(postgres_cpu)
    seconds=$("$bin/examples/load" floor --postgres "$(url bench)" --events "$events" --states "${states[$1]}" \
        --connections "$2")
    expect_rows orders $((events / states[$1]))
    note "$1" "floor$2" rate "$(calc "$events / $seconds")" \
        postgres_us "$(calc "($(postgres_cpu) - $before) * 1e6 / $events")"
}

# folder TOPIC SETTINGS: a user's folder; the model is on standard input.
folder() {
    local folder=$work/folder
    rm -rf "$folder"
    mkdir -p "$folder/contracts/shop/order_changed" "$folder/models"
    cp "$root/benches/load/order.avsc" "$folder/contracts/shop/order_changed/v1.avsc"
    printf 'topic = "%s"\nkey = "order_id"\n' "$1-$run" >"$folder/contracts/shop/context.toml"
    cat >"$folder/models/orders.sql"
    cat >"$folder/vitrina.toml" <<TOML
[kafka]
brokers = "$VITRINA_TEST_KAFKA"
group_prefix = "bench-$(date +%s%N)"
[registry]
url = "$VITRINA_TEST_REGISTRY"
[postgres]
url = "$(url bench)"
[definitions]
contracts = "contracts"
models = "models"
[http]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
$2
TOML
}

model() {
    cat "$root/benches/load/table.sql" "$root/benches/load/rule.sql"
}

# rows WORKLOAD EVENTS: with the four at the end.
rows() {
    echo $(($2 / ${states[$1]:-1} + 4))
}

# vitrina WORKLOAD NAME EVENTS SETTINGS [TOPIC]
vitrina() {
    fresh_database bench
    model | folder "${5:-$1}" "$4"
    serve "$1" "$2" "$3"
}

# serve WORKLOAD NAME EVENTS [REFUSED]: from the start to the last row, in database `bench`.
serve() {
    local table='"orders@1".orders' before started first last
    before=$(postgres_cpu)
    started=$(now)
    launch "$bin/vitrina" --config "$work/folder/vitrina.toml" serve
    first=$(when bench "$table" "$(first_row "$table")" "$launched")
    last=$(when bench "$table" "$(last_row "$table")" "$launched")
    expect_rows "$table" "$(($(rows "$1" "$3") - ${4:-0}))"
    note "$1" "$2" rate "$(calc "$3 / ($last - $first)")" cpu_us "$(calc "$(cpu "$launched") * 1e6 / $3")" \
        postgres_us "$(calc "($(postgres_cpu) - $before) * 1e6 / $3")" rss_mib "$(peak "$launched")" \
        start_s "$(calc "$first - $started")"
    stop "$launched"
}

debezium() { peer "$1" debezium "$events"; }
handwritten() { peer few handwritten "$few"; }

# peer TOPIC NAME EVENTS: the peer's own script, which answers with one line of key=value.
peer() {
    [[ -n ${PEERS:-} ]] || return 0
    local line
    fresh_database bench
    if ! line=$(peer_script "$2" "$1" "$3"); then
        echo "$2 failed on $1 and is left out of this round" >&2
        return
    fi
    local -A found=()
    local pair
    for pair in $line; do
        found[${pair%%=*}]=${pair#*=}
    done
    expect_rows orders "$(rows "$1" "$3")"
    note "$1" "$2" rate "${found[rate]}" cpu_us "$(calc "${found[cpu_s]} * 1e6 / $3")" \
        postgres_us "$(calc "${found[pg_cpu_s]} * 1e6 / $3")" rss_mib "${found[rss_mib]}" start_s "${found[start_s]}"
}

# peer_script NAME TOPIC EVENTS
peer_script() {
    local address=${VITRINA_TEST_POSTGRES_URL#*@}
    address=${address%/*}
    KAFKA_BOOTSTRAP=$VITRINA_TEST_KAFKA REGISTRY_URL=$VITRINA_TEST_REGISTRY PG_PID=$server PGHOST=${address%:*} \
        PGPORT=${address#*:} PGUSER=postgres PGDATABASE=bench PEER_BUILD=${PEER_BUILD:-$root/target/peers} \
        REST_PORT=$((RANDOM % 20000 + 10000)) \
        "$PEERS/$1/run" "$2-$run" "$3"
}
