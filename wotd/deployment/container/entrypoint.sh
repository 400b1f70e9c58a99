#!/bin/sh
# The doors of the container: train, serve, tensorboard; anything else is run as it is.
# A training in a folder where one was stopped goes on with it.
set -eu

door=${1:-}
[ $# -eq 0 ] || shift
case $door in
  train)
    for word in "$@"; do
      case $word in
        hydra.run.dir=*) [ ! -f "${word#*=}/checkpoints/last.ckpt" ] || set -- ckpt_path=last "$@" ;;
      esac
    done
    exec wotd-train "$@"
    ;;
  serve) exec wotd serve --host 0.0.0.0 --port 8080 "$@" ;;
  tensorboard) exec python -m tensorboard.main --host 0.0.0.0 --port 6006 --logdir outputs "$@" ;;
  healthy) exec python -c '
import sys, urllib.request as http
sys.tracebacklimit = 0
http.urlopen("http://127.0.0.1:8080/ping", timeout=4)' ;;
  *) exec "$door" "$@" ;;
esac
