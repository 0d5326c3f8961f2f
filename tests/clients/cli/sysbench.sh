#!/bin/sh
# sysbench: its OLTP workloads, with statements as text and prepared.
. "$(dirname -- "$0")/options.sh"

# The lines of its report that are the same in every run of one session.
bench() {
    workload=$1
    shift
    tls=off
    sysbench "$workload" $tables --db-driver=mysql --mysql-host="$CLIENT_HOST" --mysql-port="$CLIENT_PORT" --mysql-user="$CLIENT_USER" \
        --mysql-password="$CLIENT_PASSWORD" --mysql-db="$CLIENT_DATABASE" --mysql-ssl="$tls" \
        --rand-seed=7 --time=0 "$@" >said 2>&1 || fail "sysbench $workload $*: $(cat said)"
    if grep -q FATAL said; then fail "sysbench $workload $*: $(cat said)"; fi
    printf '== %s %s\n' "$workload" "$*"
    sed -n 's/^ *\(read:\|write:\|other:\|total:\|transactions:\|queries:\|ignored errors:\|reconnects:\) *\([0-9]*\).*/\1 \2/p' said
}

if [ "${CLIENT_PREDICT:-}" = 1 ]; then
    for mode in auto disable; do
        for threads in 1 4; do
            bench "$suites/cli/predict.lua" --db-ps-mode="$mode" --threads="$threads" --events=200 --labels="$CLIENT_EXPECT" run |
                sed '1s/.*/== predict/'
        done
    done
    exit 0
fi

tables="--tables=2 --table-size=5000"
for mode in auto disable; do
    bench oltp_read_write $tables --db-ps-mode="$mode" prepare
    for workload in oltp_read_write oltp_point_select oltp_read_only oltp_insert; do
        bench "$workload" $tables --db-ps-mode="$mode" --threads=1 --events=200 run
    done
    # Sessions at once may wait for each other's locks and repeat transactions: only their number is shown.
    bench oltp_read_write $tables --db-ps-mode="$mode" --threads=6 --events=300 run | grep -E '^(==|transactions)'
    sum=$(sql --batch --skip-column-names -e 'SELECT COUNT(*) FROM sbtest1' 2>&1)
    [ "$sum" -ge 5000 ] || fail "$sum rows"
    bench oltp_read_write $tables --db-ps-mode="$mode" cleanup
done
