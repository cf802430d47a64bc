#!/usr/bin/env bash
# What an open console costs the gateway: its CPU microseconds per request with and without listeners.
#
# One platform on core 0, load (wrk) and origin (nginx, 1 KiB from memory) on core 1; 64 kept-alive
# connections. Each round measures twice: alone, and while clients hold /api/v1/live open, as a page of the
# console does. The order within a round alternates; the median of the pairs is the result. Also
# printed: how often the clients were told something, and the platform's resident memory at the end.
#
#   bench/console.sh [--rounds N] [--seconds S] [--clients N] [--limit RATIO] [--memory MIB] [--json]
#
# Ends with status 1 if the median ratio is above the limit (1.1) or the memory above its own (60 MiB), 2
# if it cannot measure. Needs wrk, nginx, curl and taskset (apt-get install wrk nginx-light curl
# util-linux), and target/release/ieum, which is built first. IEUM=PATH measures another binary.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=10 seconds=4 clients=5 limit=1.1 memory=60 json=
while [ $# -gt 0 ]; do
  case "$1" in
    --rounds) rounds=$2 ;;
    --seconds) seconds=$2 ;;
    --clients) clients=$2 ;;
    --limit) limit=$2 ;;
    --memory) memory=$2 ;;
    --json) json=yes; shift; continue ;;
    *) sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
  shift 2
done

. bench/lib.sh
need wrk nginx curl taskset awk "wrk nginx-light curl util-linux"
origin=$(free_port) ours=$(free_port) api=$(free_port)

mkdir -p "$work/origin"
cat >"$work/origin.conf" <<CONF
daemon off;
master_process off;
worker_processes 1;
pid $work/origin/pid;
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path $work/origin/body;
  proxy_temp_path $work/origin/proxy;
  fastcgi_temp_path $work/origin/fastcgi;
  uwsgi_temp_path $work/origin/uwsgi;
  scgi_temp_path $work/origin/scgi;
  server { listen 127.0.0.1:$origin; location / { return 200 "$(head -c 1024 /dev/zero | tr "\0" x)"; } }
}
CONF
# The whole platform, as it comes: what the console shows is computed in it.
cat >"$work/ieum.toml" <<CONF
[platform]
listen = "127.0.0.1:$api"
data-dir = "$work/data"
[gateway]
listen = "127.0.0.1:$ours"
threads = 1
[[gateway.routes]]
name = "measured"
path = "/"
auth = "none"
url = "http://127.0.0.1:$origin"
CONF
start 1 nginx -c "$work/origin.conf"
start 0 "$ieum" up -c "$work/ieum.toml"
platform=${pids[-1]}
for _ in $(seq 100); do
  curl -sf "http://127.0.0.1:$ours/" -o /dev/null 2>&1 && break
  sleep 0.1
done
curl -sf "http://127.0.0.1:$ours/" -o /dev/null || { cat "$work/log" >&2; fail "the gateway does not answer"; }

measure() { # → "CPU-µs-per-request requests-per-second"
  local before report
  before=$(busy "$platform")
  report=$(taskset -c 1 wrk -t1 -c64 -d"${seconds}s" "http://127.0.0.1:$ours/")
  if grep -Eq 'Non-2xx|Socket errors' <<<"$report"; then
    echo "$report" >&2
    fail "the gateway did not answer everything"
  fi
  per_request $(($(busy "$platform") - before)) "$report" "$seconds"
}

told=0
listened() { # the same with listeners
  local listeners=() client
  for client in $(seq "$clients"); do
    taskset -c 1 curl -sN "http://127.0.0.1:$api/api/v1/live" -o "$work/live.$client" &
    listeners+=($!)
  done
  sleep 0.2
  measure
  kill "${listeners[@]}" 2>/dev/null || true
  wait "${listeners[@]}" 2>/dev/null || true
}
events() { cat "$work"/live.* 2>/dev/null | grep -c '^event: overview' || true; }

say() { [ -n "$json" ] || printf "$@"; }
measure >/dev/null
say '%-6s %12s %12s %8s %10s\n' round 'alone µs' 'watched µs' ratio 'told'
ratios=()
for round in $(seq "$rounds"); do
  rm -f "$work"/live.*
  if ((round % 2)); then
    read -r a _ < <(measure)
    read -r b _ < <(listened)
  else
    read -r b _ < <(listened)
    read -r a _ < <(measure)
  fi
  told=$(events)
  [ "$told" -ge "$clients" ] || fail "the clients were told nothing: $told events"
  ratio=$(quotient "$a" "$b")
  ratios+=("$ratio")
  say '%-6s %12s %12s %8s %10s\n' "$round" "$a" "$b" "$ratio" "$told"
done
median=$(median "${ratios[@]}")
resident=$(awk '/VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$platform/status")
if [ -n "$json" ]; then
  printf '{"rounds":%s,"clients":%s,"medianRatio":%s,"limit":%s,"residentMiB":%s,"memoryLimit":%s,"ratios":[%s]}\n' \
    "$rounds" "$clients" "$median" "$limit" "$resident" "$memory" "$(IFS=,; echo "${ratios[*]}")"
else
  echo "median ratio watched / alone: $median (limit $limit); resident: $resident MiB (limit $memory)"
fi
within "$median" "$limit" && within "$resident" "$memory"
