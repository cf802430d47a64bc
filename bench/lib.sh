# What the benchmarks share: processes that end with the script, ports, the median. Sourced, not run.

fail() { echo "$(basename "$0"): $*" >&2; exit 2; }

# need TOOL… (PACKAGES): what must be there
need() {
  local packages=${*: -1}
  for tool in "${@:1:$#-1}"; do
    command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install $packages"
  done
  [ "$(nproc)" -ge 2 ] || fail "two cores are needed: one for the measured, one for the load"
}

target=${CARGO_TARGET_DIR:-target}
ieum=${IEUM:-$target/release/ieum}
[ -n "${IEUM:-}" ] || cargo build --release --locked -p ieum-server --bin ieum >&2
ieum=$(realpath "$ieum")

work=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

start() { # CORE COMMAND…
  local core=$1
  shift
  taskset -c "$core" "$@" >>"$work/log" 2>&1 &
  pids+=($!)
}

free_port() {
  python3 - <<'PY' 2>/dev/null || awk 'BEGIN { srand(); print 20000 + int(rand() * 20000) }'
import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])
PY
}

# ieum_conf GATEWAY-PORT API-PORT ROUTE: a gateway on one thread that measures nothing but itself
ieum_conf() {
  cat >"$work/ieum.toml" <<CONF
[platform]
listen = "127.0.0.1:$2"
data-dir = "$work/data"
roles = ["gateway"]
[log]
url = "memory:"
[telemetry.traces]
sample = 0.0
[gateway]
listen = "127.0.0.1:$1"
threads = 1
[[gateway.routes]]
name = "measured"
path = "/"
auth = "none"
$3
CONF
}

# Nanoseconds that the threads of a process have run, as the scheduler counts them.
busy() { cat "/proc/$1"/task/*/schedstat | awk '{ sum += $1 } END { printf "%.0f", sum }'; }

# CPU-µs-per-request and requests-per-second, from the time that was used, wrk's report, and seconds
per_request() { # NANOSECONDS REPORT SECONDS
  awk -v t="$1" -v n="$(awk '/requests in/ { print $1 }' <<<"$2")" -v s="$3" \
    'BEGIN { printf "%.2f %.0f\n", t / 1e3 / n, n / s }'
}

median() {
  printf '%s\n' "$@" | sort -n | awk '{ r[NR] = $1 } END {
    print NR % 2 ? r[(NR + 1) / 2] : (r[NR / 2] + r[NR / 2 + 1]) / 2 }'
}

# quotient A B: B / A
quotient() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", b / a }'; }

# Status 1 above the limit.
within() { awk -v m="$1" -v l="$2" 'BEGIN { exit !(m <= l) }'; }
