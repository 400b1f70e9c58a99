#!/bin/sh
# The doors of the container: train, serve, tensorboard; anything else is run as it is.
set -eu

door=${1:-}
[ $# -eq 0 ] || shift
case $door in
  train) exec wotd-train "$@" ;;
  serve) exec wotd serve --host 0.0.0.0 --port 8080 "$@" ;;
  tensorboard) exec python -m tensorboard.main --host 0.0.0.0 --port 6006 --logdir outputs "$@" ;;
  healthy) exec python -c 'import urllib.request as http; http.urlopen("http://127.0.0.1:8080/ping", timeout=4)' ;;
  *) exec "$door" "$@" ;;
esac
