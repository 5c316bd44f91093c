find_myself
case "$group" in
server) drivers=("${SERVER_DRIVERS[@]}") ;;
client) drivers=("${CLIENT_DRIVERS[@]}") ;;
*) die "the manifest puts this host into the unknown group $group" ;;
esac
args=(worker "$group" --listen "$address:$CONTROL_PORT" --run "$RUN" --key-file "$dir/key" --index "$index"
    --scenario "$dir/$SCENARIO" --port "$((DRIVER_PORT + index))" --out "$dir/out")
# Pairs of a name and a path.
for ((i = 0; i < ${#drivers[@]}; i += 2)); do
    args+=(--driver "${drivers[i]}=$dir/${drivers[i + 1]}")
done
if [[ "$group" == client ]]; then
    servers=()
    while read -r -u 3 kind _ of place ip _; do
        if [[ "$kind" == host && "$of" == server ]]; then servers[place]="$ip:$((DRIVER_PORT + place))"; fi
    done 3<manifest
    for server in "${servers[@]}"; do args+=(--server "$server"); done
fi
args+=("${WORKER_OPTIONS[@]}")

# The key comes by the host's own role and is readable for nobody else; it is in no command and no log.
aws ssm get-parameter --with-decryption --name "$KEY_PARAMETER" --query Parameter.Value --output text >key.new
chmod 600 key.new
mv key.new key

worker_log="out/logs/$group-$address.log"
: >worker.stdout
: >>"$worker_log"
# A driver needs more files than the 1024 that children of the SSM agent may open.
ulimit -Sn "$(ulimit -Hn)" || printf 'the worker may open no more than %s files\n' "$(ulimit -Sn)"
# Nothing of this step may stay open in the worker: neither the lock nor the pipe that SSM waits for.
setsid "$dir/bin/runner" "${args[@]}" </dev/null >worker.stdout 2>>"$worker_log" 9>&- &
pid=$!
printf '%s\n' "$pid" >worker.pid
give_up_at=$((SECONDS + LISTEN_LIMIT_S))
until grep -q '^listening on ' worker.stdout; do
    if ! kill -0 "$pid" 2>/dev/null; then
        status=0
        wait "$pid" || status=$?
        tail -n 20 "$worker_log"
        die "the worker ended with exit code $status before it listened: $(tail -n 1 "$worker_log")"
    fi
    if ((SECONDS >= give_up_at)); then
        kill -KILL -- "-$pid" || true
        wait "$pid" || true
        tail -n 20 "$worker_log"
        die "the worker does not listen on $address:$CONTROL_PORT within $LISTEN_LIMIT_S s"
    fi
    sleep 0.1
done
printf 'worker %s %s\n' "$pid" "$(<worker.stdout)"
# Not before: what was downloaded and built would be in the counters.
take_facts before
