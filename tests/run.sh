#!/usr/bin/env bash
# Every test in two halves at once: those that only compute beside those that mostly wait, which go first on the cores.
#
#   tests/run.sh PYTHON [PYTEST_OPTION...]
#
# With options it is pytest as usual.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=$1
shift
if [ $# -gt 0 ]; then
    exec "$PYTHON" -m pytest "$@"
fi

COMPUTING=(tests/training tests/simulator tests/records tests/inference_subscriber tests/pcb_bus/seeing)
ABOUT_THEM=$(mktemp)
trap 'rm -f "$ABOUT_THEM"' EXIT

nice -n 19 "$PYTHON" -m pytest -p no:cacheprovider "${COMPUTING[@]}" >"$ABOUT_THEM" 2>&1 &
computing=$!
trap 'kill -INT "$computing" 2>/dev/null || true; rm -f "$ABOUT_THEM"' EXIT

failed=0
"$PYTHON" -m pytest "${COMPUTING[@]/#/--ignore=}" || failed=$?
echo "And ${COMPUTING[*]}, which ran beside them:"
wait "$computing" || failed=$?
cat "$ABOUT_THEM"
[ "$failed" = 0 ] || echo "Not every test passed; both halves have a summary above." >&2
exit "$failed"
