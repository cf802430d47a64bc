#!/usr/bin/env bash
# Plain proxying, beside nginx: CPU microseconds of the proxy per request.
#
# Proxy on core 0; load (wrk) and origin (nginx, 1 KiB from memory) on core 1; 64 kept-alive
# connections. Rounds alternate A B A B, because the host's noise moves both; only the ratio of a
# pair counts, and the median of the pairs is the result. Run it with nothing else on the machine.
#
#   bench/proxy.sh [--rounds N] [--seconds S] [--connections C] [--limit RATIO]
#
# Ends with status 1 if the median ratio is above the limit (1.3), 2 if it cannot measure.
# Needs wrk, nginx and taskset (apt-get install wrk nginx-light util-linux), and target/release/ieum,
# which is built first.
# IEUM=PATH measures another binary.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=5 seconds=5 connections=64 limit=1.3
while [ $# -gt 0 ]; do
  case "$1" in
    --rounds) rounds=$2 ;;
    --seconds) seconds=$2 ;;
    --connections) connections=$2 ;;
    --limit) limit=$2 ;;
    *) sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
  shift 2
done

. bench/lib.sh
need wrk nginx taskset awk "wrk nginx-light util-linux"
origin=$(free_port) peer=$(free_port) ours=$(free_port) api=$(free_port)

body=$(head -c 1024 /dev/zero | tr "\0" x)
nginx_conf() { # NAME PORT LOCATION
  mkdir -p "$work/$1"
  cat >"$work/$1.conf" <<CONF
daemon off;
master_process off;
worker_processes 1;
pid $work/$1/pid;
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path $work/$1/body;
  proxy_temp_path $work/$1/proxy;
  fastcgi_temp_path $work/$1/fastcgi;
  uwsgi_temp_path $work/$1/uwsgi;
  scgi_temp_path $work/$1/scgi;
  upstream origin { server 127.0.0.1:$origin; keepalive 256; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:$2; location / { $3 } }
}
CONF
}
nginx_conf origin "$origin" "return 200 \"$body\";"
nginx_conf peer "$peer" "proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection '';"
ieum_conf "$ours" "$api" "url = \"http://127.0.0.1:$origin\""
start 1 nginx -c "$work/origin.conf"
start 0 nginx -c "$work/peer.conf"
peer_pid=${pids[-1]}
start 0 "$ieum" up -c "$work/ieum.toml"
ours_pid=${pids[-1]}

answers() { # PORT
  for _ in $(seq 100); do
    if exec 3<>"/dev/tcp/127.0.0.1/$1"; then exec 3>&-; return; fi 2>/dev/null
    sleep 0.1
  done
  cat "$work/log" >&2
  fail "nobody listens on port $1"
}
for port in "$origin" "$peer" "$ours"; do answers "$port"; done

measure() { # PID PORT → "CPU-µs-per-request requests-per-second"
  local before report
  before=$(busy "$1")
  report=$(taskset -c 1 wrk -t1 -c"$connections" -d"${seconds}s" "http://127.0.0.1:$2/")
  if grep -Eq 'Non-2xx|Socket errors' <<<"$report"; then
    echo "$report" >&2
    fail "the proxy on port $2 did not answer everything"
  fi
  per_request $(($(busy "$1") - before)) "$report" "$seconds"
}

echo "warming up"
measure "$peer_pid" "$peer" >/dev/null
measure "$ours_pid" "$ours" >/dev/null
printf '%-6s %14s %14s %8s %14s %14s\n' round 'nginx µs' 'ieum µs' ratio 'nginx req/s' 'ieum req/s'
ratios=()
for round in $(seq "$rounds"); do
  read -r a a_rate < <(measure "$peer_pid" "$peer")
  read -r b b_rate < <(measure "$ours_pid" "$ours")
  ratio=$(quotient "$a" "$b")
  ratios+=("$ratio")
  printf '%-6s %14s %14s %8s %14s %14s\n' "$round" "$a" "$b" "$ratio" "$a_rate" "$b_rate"
done
median=$(median "${ratios[@]}")
echo "median ratio ieum / nginx: $median (limit $limit)"
within "$median" "$limit"
