# shellcheck shell=bash
# Sourced by `run`: what else is asked than how fast.

# From produced to committed, at 2,000 events a second; the first 8 seconds do not count. Beside it, how long one durable
# INSERT of the same row takes, and the way to a consumer that does nothing.
latency() {
    one_insert
    received
    latency_of vitrina1 '"orders@1".orders'
    if [[ -n ${PEERS:-} ]]; then
        latency_of debezium orders
    fi
}

# One client, one row a transaction, for as long as the latency counts.
one_insert() {
    local found
    fresh_database bench
    psql -qX -v ON_ERROR_STOP=1 "$(url bench)" -f "$root/benches/load/table.sql"
    (cd "$work" && rm -f insert.* && pgbench -n -c 1 -T 20 -l --log-prefix=insert -f "$root/benches/load/insert.sql" \
        "$(url bench)" >&2)
    found=$(sort -n -k 3 "$work"/insert.* | awk '{ took[NR] = $3 } END {
        print took[int(NR * 0.5) + 1] / 1000, took[int(NR * 0.99) + 1] / 1000 }')
    note latency insert p50_ms "${found% *}" p99_ms "${found#* }"
}

rate=2000 seconds=28 # of latency

received() {
    local topic=received-$number found
    produce "$topic" --events 1 --no-end
    "$bin/examples/load" receive --topic "$topic-$run" --skip $((rate * 8)) >"$work/received" &
    produce "$topic" --events $((rate * seconds)) --rate $rate
    wait $!
    read -r -a found <"$work/received"
    note latency kafka "${found[@]}"
}

# latency_of SIDE TABLE
latency_of() {
    local topic
    topic=latency-$1-$number
    fresh_database bench
    # One event shows that the side is up.
    produce "$topic" --events 1 --no-end
    if [[ $1 == debezium ]]; then
        launch peer_script debezium "$topic" $((rate * seconds))
    else
        model | folder "$topic" ""
        launch "$bin/vitrina" --config "$work/folder/vitrina.toml" serve
    fi
    when bench "$2" "$(first_row "$2")" "$launched" >"$work/up"
    produce "$topic" --events $((rate * seconds)) --rate $rate
    when bench "$2" "$(last_row "$2")" "$launched" >"$work/end"
    local found
    found=$(sql bench "SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)::numeric, 1), \
                              round(percentile_cont(0.99) WITHIN GROUP (ORDER BY ms)::numeric, 1) \
                       FROM (SELECT event_at, extract(epoch FROM pg_xact_commit_timestamp(xmin) - event_at) * 1000 AS ms \
                             FROM $2 WHERE event_at > (SELECT max(event_at) FROM $2) - interval '$((seconds - 8)) s') late")
    note latency "$1" p50_ms "${found%|*}" p99_ms "${found#*|}"
    stop "$launched"
}

# New rows beside ten thousand, a million and ten million of them.
growth() {
    local table='"orders@1".orders' topic rows filled=0 stage=0
    topic=growth-$number
    fresh_database bench
    produce "$topic" --no-end
    model | folder "$topic" ""
    launch "$bin/vitrina" --config "$work/folder/vitrina.toml" serve
    when bench '"orders@1"."@position"' '(SELECT count(*) = 4 FROM "orders@1"."@position")' "$launched" >"$work/up"
    stop "$launched"
    for rows in ${ROWS:-10000 1000000 10000000}; do
        sql bench "INSERT INTO $table SELECT md5('old ' || n), 'customer-' || n % 100000, 'Amalia Hoffmann', 'PLACED', 12.34, \
                       'EUR', 1, to_timestamp(1700000000 + n * 0.137), now(), 'bank_transfer', 'Via Nazionale 17, third floor', \
                       'Torino', '10121', 'EU', repeat('Please call before you come. ', 5) \
                   FROM generate_series($filled + 1, $rows) AS n" "VACUUM ANALYZE $table" CHECKPOINT
        filled=$rows
        produce "$topic" --events "$few" --from $((stage * few)) --no-end
        stage=$((stage + 1))
        grow "$rows" $((stage * few))
    done
}

# grow ROWS END: how fast the position comes to its end.
grow() {
    local before first last position='(SELECT sum(next_offset) FROM "orders@1"."@position")'
    before=$(postgres_cpu)
    launch "$bin/vitrina" --config "$work/folder/vitrina.toml" serve
    first=$(when bench '"orders@1"."@position"' "$position > $2 - $few" "$launched")
    last=$(when bench '"orders@1"."@position"' "$position >= $2" "$launched")
    note "rows_$1" vitrina1 us "$(calc "($last - $first) * 1e6 / $few")" \
        postgres_us "$(calc "($(postgres_cpu) - $before) * 1e6 / $few")" \
        cpu_us "$(calc "$(cpu "$launched") * 1e6 / $few")" rss_mib "$(peak "$launched")"
    stop "$launched"
}

# One event of a hundred is refused, by the decoder or by a CHECK; the same model over a clean topic is the measure.
poison() {
    produce_once clean --events "$few"
    produce_once poison --events "$few" --poison 100
    local topic
    for topic in clean poison; do
        fresh_database bench
        model | sed 's/item_count .*int NOT NULL/& CHECK (item_count > 0)/' | folder $topic ""
        serve $topic vitrina1 "$few" "$([[ $topic == poison ]] && echo $((few / 100)))"
    done
}

# A model that has 100,000 parked records is started again.
parked() {
    local topic=parked-$number breaker=$'[model.breaker]\nin_a_row = 1000000000\nsame_reason = 1000000000'
    produce_once clean --events "$few"
    vitrina unparked vitrina1 "$few" "$breaker" clean
    produce "$topic" --poison-first 100000 --no-end
    fresh_database bench
    model | folder "$topic" "$breaker"
    launch "$bin/vitrina" --config "$work/folder/vitrina.toml" serve
    when bench '"orders@1"."@position"' '(SELECT sum(next_offset) = 100000 FROM "orders@1"."@position")' "$launched" >"$work/up"
    stop "$launched"
    produce "$topic" --events "$few"
    serve parked vitrina1 "$few"
}

# A generation is built beside the live one, from the first row until readers have it; before it, the same service
# consuming the same topic live. Then other events come, alone and while a third generation is built.
rebuild() {
    local workload
    for workload in "${workloads[@]}"; do
        rebuild_of "$workload"
    done
}

# rebuild_of WORKLOAD
rebuild_of() {
    local table first last topic=beside-$1-$number
    produce "$topic" --events "$events" --states "${states[$1]}"
    fresh_database bench
    model | folder "$topic" ""
    launch "$bin/vitrina" --config "$work/folder/vitrina.toml" serve
    table='"orders@1".orders'
    first=$(when bench "$table" "$(first_row "$table")" "$launched")
    last=$(when bench "$table" "$(last_row "$table")" "$launched")
    note "$1" live rate "$(calc "$events / ($last - $first)")" rss_mib "$(peak "$launched")"
    "$bin/vitrina" --config "$work/folder/vitrina.toml" rebuild orders >&2
    table='"orders@2".orders'
    first=$(when bench "$table" "$(first_row "$table")" "$launched")
    last=$(when bench vitrina.model '(SELECT live = 2 FROM vitrina.model)' "$launched")
    expect_rows "$table" "$(rows "$1" "$events")"
    note "$1" rebuild rate "$(calc "$events / ($last - $first)")" rss_mib "$(peak "$launched")"
    stop "$launched"
    beside "$1" alone "$topic" "$events"
    beside "$1" beside "$topic" $((events + few))
}

# beside WORKLOAD SIDE TOPIC BEFORE: how fast new events come through; BEFORE of them are in the topic.
beside() {
    local first last position='(SELECT sum(next_offset) FROM "orders@2"."@position")' begin
    begin=$(sql bench "SELECT $position")
    produce "$3" --events "$few" --from "$4" --no-end
    if [[ $2 == beside ]]; then
        launch "$bin/vitrina" --config "$work/folder/vitrina.toml" serve
        "$bin/vitrina" --config "$work/folder/vitrina.toml" rebuild orders >&2
    else
        launch "$bin/vitrina" --config "$work/folder/vitrina.toml" serve
    fi
    first=$(when bench '"orders@2"."@position"' "$position > $begin" "$launched")
    last=$(when bench '"orders@2"."@position"' "$position >= $begin + $few" "$launched")
    note "$1" "$2" rate "$(calc "$few / ($last - $first)")"
    stop "$launched"
}

# produce_once TOPIC ARGUMENTS…
produce_once() {
    if [[ ! -e $work/produced-$1 ]]; then
        produce "$@"
        touch "$work/produced-$1"
    fi
}

# Readers on 16 connections, of one row by its key, of a page of 50 by an index, and of an answer that they hold already,
# against the same selects by pgbench and a handler that always says the same; in turns, the service idle else.
reads() {
    local table='"orders@1".orders' topic=reads-$number rows=300000 address
    fresh_database bench
    produce "$topic" --no-end
    model | folder "$topic" ""
    launch "$bin/vitrina" --config "$work/folder/vitrina.toml" serve
    when bench '"orders@1"."@position"' '(SELECT count(*) = 4 FROM "orders@1"."@position")' "$launched" >"$work/up"
    sql bench "INSERT INTO $table SELECT 'r' || n, 'customer-' || n % 5000, 'Amalia Hoffmann', \
                   (ARRAY['PLACED', 'PAID', 'SHIPPED', 'DELIVERED'])[1 + n % 4], 12.34, 'EUR', 1, \
                   to_timestamp(1700000000 + n * 0.137), now(), 'bank_transfer', 'Via Nazionale 17, third floor', 'Torino', \
                   '10121', 'EU', repeat('Please call before you come. ', 2) \
               FROM generate_series(0, $rows) AS n" "VACUUM ANALYZE $table" CHECKPOINT
    address=$(listens "$work/log")
    cat >"$work/row.sql" <<SQL
\set n random(0, $((rows - 1)))
SELECT * FROM $table WHERE order_id = 'r' || :n::text;
SQL
    cat >"$work/page.sql" <<SQL
\set n random(0, 9999)
SELECT * FROM $table WHERE status = 'PAID' AND placed_at > to_timestamp(1700000000 + :n) ORDER BY placed_at LIMIT 50;
SQL
    pgbench_reads row
    http_reads row "$launched" --address "$address" --path '/v1/views/orders/r{n}' --most $rows
    pgbench_reads page
    http_reads page "$launched" --address "$address" --most 10000 \
        --path '/v1/views/orders?status=eq.PAID&placed_at=gt.{time}&order=placed_at'
    http_reads unchanged "$launched" --address "$address" --path /v1/views/orders/r1 --unchanged
    stop "$launched"
    launch "$bin/examples/load" static
    until address=$(listens "$work/log") && [[ -n $address ]]; do sleep 0.1; done
    http_reads static "$launched" --address "$address" --path /
    stop "$launched"
}

# listens LOG: the first address that is told there
listens() {
    sed -n 's|.*http://\(127\.0\.0\.1:[0-9]*\).*|\1|p' "$1" | head -n 1
}

# pgbench_reads WHAT
pgbench_reads() {
    local before rate p99
    before=$(postgres_cpu)
    rm -f "$work"/latency.*
    "$(pgbench_program)" -n -M prepared -c 16 -j 2 -T "$read_seconds" -l --log-prefix "$work/latency" -f "$work/$1.sql" \
        "$(url bench)" >"$work/pgbench"
    rate=$(awk '/^tps/ { print $3 }' "$work/pgbench")
    p99=$(awk '{ print $3 / 1000 }' "$work"/latency.* | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR - 1) * 0.99) + 1] }')
    note "$1" pgbench rate "$rate" p99_ms "$p99" \
        postgres_us "$(calc "($(postgres_cpu) - $before) * 1e6 / ($rate * $read_seconds)")"
}

pgbench_program() {
    command -v pgbench || printf '%s\n' /usr/lib/postgresql/*/bin/pgbench | tail -n 1
}

# http_reads WHAT PID ARGUMENTS…
http_reads() {
    local what=$1 pid=$2 before own found
    shift 2
    before=$(postgres_cpu) own=$(cpu "$pid")
    read -r -a found <<<"$("$bin/examples/load" read --seconds "$read_seconds" "$@")"
    note "$what" vitrina "${found[@]}" cpu_us "$(calc "($(cpu "$pid") - $own) * 1e6 / (${found[1]} * $read_seconds)")" \
        postgres_us "$(calc "($(postgres_cpu) - $before) * 1e6 / (${found[1]} * $read_seconds)")"
}
