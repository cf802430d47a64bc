#!/usr/bin/env bash
# Durable appends to the log in PostgreSQL: our batched log, beside one function call per append.
#
# 64 writers, single events of 300 bytes with an expected version, each to a stream of its own. A server
# with fsync on is started for it. Rounds alternate A B A B; only the ratio of a pair counts, and the
# median of the pairs is the result. Also printed: the server's CPU microseconds per event.
#
#   bench/log.sh --engine postgres [--rounds N] [--seconds S] [--writers N] [--calls N] [--limit RATIO] [--json]
#
# Ends with status 1 if the median ratio is below the limit (3), 2 if it cannot measure.
# Needs PostgreSQL 15 or newer (apt-get install postgresql).
set -euo pipefail
cd "$(dirname "$0")/.."

engine= rest=()
while [ $# -gt 0 ]; do
  case "$1" in
    --engine) engine=${2:-}; shift 2 ;;
    *) rest+=("$1"); shift ;;
  esac
done
if [ "$engine" != postgres ]; then
  sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
exec cargo bench --quiet --locked -p ieum-sql --features postgres --bench log -- "${rest[@]}"
