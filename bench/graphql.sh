#!/usr/bin/env bash
# A federated query, beside Apollo Gateway: CPU microseconds of the gateway per query.
#
# `user(id) { name orders { id total status } }` over two subgraphs (graphql-js on Node.js), ten orders,
# a thousand users in turn. Gateway on core 0; load (wrk) and subgraphs on core 1. Both gateways run the
# same supergraph, composed by @apollo/composition, and must answer the same first. Rounds alternate
# A B A B; only the ratio of a pair counts, and the median of the pairs is the result.
#
#   bench/graphql.sh [--rounds N] [--seconds S] [--connections C] [--limit RATIO] [--json]
#
# Ends with status 1 if the median ratio is above the limit (0.25), 2 if it cannot measure.
# Needs wrk, node, npm and taskset (apt-get install wrk nodejs npm util-linux), the npm registry at its
# first run, and target/release/ieum, which is built first. IEUM=PATH measures
# another binary.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=5 seconds=6 connections=16 limit=0.25 json=
while [ $# -gt 0 ]; do
  case "$1" in
    --rounds) rounds=$2 ;;
    --seconds) seconds=$2 ;;
    --connections) connections=$2 ;;
    --limit) limit=$2 ;;
    --json) json=1; shift; continue ;;
    *) sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
  shift 2
done

say() { [ -n "$json" ] || printf "$@"; }
. bench/lib.sh
need wrk node npm curl taskset awk "wrk nodejs npm curl util-linux"

peers=$target/bench/graphql
mkdir -p "$peers"
if ! cmp -s bench/graphql/package.json "$peers/installed.json"; then
  cp bench/graphql/package.json "$peers/"
  (cd "$peers" && npm install --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error >&2) ||
    fail "the npm packages cannot be installed"
  cp bench/graphql/package.json "$peers/installed.json"
fi
cp bench/graphql/*.mjs bench/graphql/*.lua "$peers/"

users=$(free_port) orders=$(free_port) peer=$(free_port) ours=$(free_port) api=$(free_port)
node "$peers/compose.mjs" "users=http://127.0.0.1:$users/" "orders=http://127.0.0.1:$orders/" \
  >"$work/supergraph.graphql" || fail "the supergraph cannot be composed"
ieum_conf "$ours" "$api" 'graphql = { supergraph = "supergraph.graphql" }'

export NODE_ENV=production
start 1 node "$peers/subgraph.mjs" users "$users"
start 1 node "$peers/subgraph.mjs" orders "$orders"
start 0 node "$peers/gateway.mjs" "$work/supergraph.graphql" "$peer"
peer_pid=${pids[-1]}
start 0 "$ieum" up -c "$work/ieum.toml"
ours_pid=${pids[-1]}

ask() { # PORT
  curl --silent --fail --max-time 5 "http://127.0.0.1:$1/" -H 'content-type: application/json' \
    -d '{"query":"query Orders($id: ID!) { user(id: $id) { name orders { id total status } } }","variables":{"id":"7"}}'
}
data() { # PORT → its answer's data, in one spelling
  for _ in $(seq 100); do
    if answer=$(ask "$1") && [ -n "$answer" ]; then
      node -e 'console.log(JSON.stringify(JSON.parse(process.argv[1]).data))' "$answer"
      return
    fi
    sleep 0.2
  done
  cat "$work/log" >&2
  fail "nobody answers on port $1"
}
expected=$(data "$peer")
actual=$(data "$ours")
[ "$expected" = "$actual" ] || fail "different answers: $expected and $actual"
case "$expected" in *'"orders":['*) ;; *) fail "no data: $expected" ;; esac

measure() { # PID PORT → "CPU-µs-per-query queries-per-second"
  local before report
  before=$(busy "$1")
  report=$(taskset -c 1 wrk -t1 -c"$connections" -d"${seconds}s" -s "$peers/query.lua" "http://127.0.0.1:$2/" 2>&1)
  if grep -Eq 'Non-2xx|Socket errors|wrong answer' <<<"$report"; then
    echo "$report" >&2
    fail "the gateway on port $2 did not answer everything"
  fi
  per_request $(($(busy "$1") - before)) "$report" "$seconds"
}

say 'warming up\n'
measure "$peer_pid" "$peer" >/dev/null
measure "$ours_pid" "$ours" >/dev/null
say '%-6s %14s %14s %8s %14s %14s\n' round 'apollo µs' 'ieum µs' ratio 'apollo q/s' 'ieum q/s'
ratios=() rows=()
for round in $(seq "$rounds"); do
  read -r a a_rate < <(measure "$peer_pid" "$peer")
  read -r b b_rate < <(measure "$ours_pid" "$ours")
  ratio=$(quotient "$a" "$b")
  ratios+=("$ratio")
  rows+=("{\"apolloMicros\":$a,\"ieumMicros\":$b,\"ratio\":$ratio,\"apolloPerSecond\":$a_rate,\"ieumPerSecond\":$b_rate}")
  say '%-6s %14s %14s %8s %14s %14s\n' "$round" "$a" "$b" "$ratio" "$a_rate" "$b_rate"
done
median=$(median "${ratios[@]}")
if [ -n "$json" ]; then
  printf '{"bench":"graphql","rounds":[%s],"median":%s,"limit":%s}\n' "$(IFS=,; echo "${rows[*]}")" "$median" "$limit"
else
  echo "median ratio ieum / apollo: $median (limit $limit)"
fi
within "$median" "$limit"
