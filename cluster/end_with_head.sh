#!/usr/bin/env bash
# End Ray on this worker when the head has not answered for a minute, which is when Ray gives it up, too:
# `ray down` stops Ray on the head alone where the machines are your own. cluster/onprem.yaml starts it beside
# Ray; it returns at once and watches from then on.
#
#   bash end_with_head.sh HOST PORT
set -euo pipefail

host=$1 port=$2
if [ "${3:-}" != watch ]; then
    setsid nohup bash "$0" "$host" "$port" watch > /dev/null 2>&1 < /dev/null &
    exit 0
fi
# One is enough: it goes on when Ray is started again.
exec 9> "/tmp/jetscale-$(id -u)-$host-$port.lock"
flock -n 9 || exit 0
missed=0
while [ "$missed" -lt 6 ]; do
    sleep 10
    if timeout 5 bash -c ": > /dev/tcp/$host/$port" 2> /dev/null; then
        missed=0
    else
        missed=$((missed + 1))
    fi
done
ray stop
