#!/bin/bash
# boardline NODE [COMMAND] [OPTION...]: run a node's program with the node's own settings, as its service does.
#
#   sudo boardline edge-left doctor
#   sudo boardline actuator off
set -euo pipefail

node=${1:-}
env_file=/etc/boardline/$node.env
case $node in
    edge-?*) program=(edge_publisher) end=(--side "${node#edge-}") ;;
    actuator | broker | recorder) program=("$node") end=() ;;
    inference) program=(inference_subscriber) end=() ;;
    *)
        echo "usage: sudo boardline NODE [COMMAND] [OPTION...], for example: sudo boardline edge-left doctor" >&2
        exit 2
        ;;
esac
[ "$(id -u)" = 0 ] || { echo "boardline: run it with sudo" >&2; exit 2; }
[ -d "/var/lib/boardline/$node" ] || { echo "boardline: $node is not installed on this machine" >&2; exit 2; }

shift
set -a
# shellcheck disable=SC1090
[ ! -f "$env_file" ] || . "$env_file"
set +a
export GPIOZERO_PIN_FACTORY=${GPIOZERO_PIN_FACTORY-lgpio}
cd "/var/lib/boardline/$node"
exec runuser -u boardline -- /opt/boardline/venv/bin/python -m "${program[@]}" "$@" --config /etc/boardline/line.yaml "${end[@]}"
