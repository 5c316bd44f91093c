# What every step begins with: where it runs, what it may do twice, how it ends.
# Set before: STEP RUN REGION BUCKET PREFIX LOCK_LIMIT_S NEEDS_LIMIT_S SAVES_RESULTS DEPENDENCIES.
# SAVES_RESULTS is "yes" for a step that is done again each time, and that goes on where the disk takes nothing more.

export LC_ALL=C HOME="${HOME:-/root}" AWS_DEFAULT_REGION="$REGION" AWS_REGION="$REGION" AWS_PAGER=''
umask 077
dir="${NETBENCH_DIR:-/var/lib/netbench}/$RUN"
mkdir -p "$dir/out/logs"
cd "$dir"

# Ends the step with a reason, which is what the orchestrator shows first.
die() {
    printf '%s\n' "$*" >"reason_$STEP" || true
    printf 'netbench: %s\n' "$*" >&2
    exit 1
}

# The list of hosts and files; fetched anew by each step that fetches files, since files may have been added.
fetch_manifest() {
    aws s3 cp --only-show-errors "s3://$BUCKET/${PREFIX}manifest" manifest.new
    mv manifest.new manifest
}

# Sets group, index and address to what the manifest says of this host.
find_myself() {
    local kind id
    [[ -n "${AWS_SSM_INSTANCE_ID:-}" ]] || die 'AWS_SSM_INSTANCE_ID is not set: this is to run as a command of SSM'
    while read -r -u 3 kind id group index address _; do
        if [[ "$kind" == host && "$id" == "$AWS_SSM_INSTANCE_ID" ]]; then return 0; fi
    done 3<manifest
    die "the manifest of run $RUN does not name this host, $AWS_SSM_INSTANCE_ID"
}

# Where the bytes of a digest are already: one program may be wanted under several names.
declare -A have=()

# fetch_file DIGEST MODE PATH URL: the file is there with these bytes, or the step fails.
fetch_file() {
    local digest="$1" mode="$2" path="$3" url="$4"
    case "/$path/" in *//* | */../* | */./*) die "the manifest names a file outside the directory of the run: $path" ;; esac
    mkdir -p "$(dirname "$path")"
    if [[ -n "${have[$digest $mode]:-}" ]]; then
        # The same file under another name, which needs no second copy and no second look.
        [[ "$path" -ef "${have[$digest $mode]}" ]] || ln -f "${have[$digest $mode]}" "$path"
        return
    fi
    if ! has_digest "$path" "$digest"; then
        curl --fail --silent --show-error --retry 4 --retry-all-errors --connect-timeout 10 --max-time 240 \
            --output "$path.new" --url "$url" || die "$path cannot be downloaded: curl ends with exit code $?"
        has_digest "$path.new" "$digest" || die "$path was downloaded with other bytes than digest $digest promises"
        mv "$path.new" "$path"
    fi
    chmod "$mode" "$path"
    have[$digest $mode]="$path"
}

has_digest() {
    [[ -f "$1" && "$(sha256sum <"$1")" == "$2  -" ]]
}

# One line, and the end of what the step wrote, on stderr: SSM keeps the beginning of long output, not its end.
give_up() {
    printf '%s\n' "$1" >"fail_$STEP" || true
    printf 'netbench: step %s failed: %s\n' "$STEP" "$1" >&2
    if [[ -f "$log" && -s "$log" ]]; then
        printf 'netbench: the end of its output:\n' >&2
        tail -n 25 "$log" | tail -c 4000 >&2
    fi
    exit 1
}

# What could not be written down ends a step, unless it saves results.
unwritten() {
    printf 'netbench: %s cannot be written\n' "$1" >&2
    [[ -n "$SAVES_RESULTS" ]]
}

# All steps are sent at the same time. One waits here, before it keeps others from theirs, until what it needs has
# succeeded. It waits on when that has failed: the failure itself is what the orchestrator is to hear of.
await_needs() {
    local dependency
    for dependency in "${DEPENDENCIES[@]}"; do
        until [[ -e "fin_$dependency" ]] || ((SECONDS >= NEEDS_LIMIT_S)); do sleep 0.2; done
    done
}

# A command that was sent twice waits here for the first one, and then finds its work done.
take_turn() {
    log="out/logs/step_$STEP.log"
    if exec 9>lock; then
        if ! flock -w "$LOCK_LIMIT_S" 9; then
            printf 'netbench: another step of run %s has not ended within %s s\n' "$RUN" "$LOCK_LIMIT_S" >&2
            exit 1
        fi
    else
        unwritten lock
    fi
    if [[ -e "fin_$STEP" && -z "$SAVES_RESULTS" ]]; then
        printf 'netbench: %s was done before\n' "$STEP"
        exit 0
    fi
    rm -f "fin_$STEP" "fail_$STEP" "reason_$STEP" "error_$STEP" || unwritten "fin_$STEP"
    : >"$log" || unwritten "$log"
    date -u +%FT%TZ >"start_$STEP" || unwritten "start_$STEP"
    local dependency
    for dependency in "${DEPENDENCIES[@]}"; do
        if [[ ! -e "fin_$dependency" ]]; then
            give_up "it needs step $dependency, which has not succeeded on this host"
        fi
    done
}

# Runs `body` and leaves fin_STEP or fail_STEP.
run_body() {
    local status reason
    # In an `if` or before `||`, bash would ignore the failure of a command in the middle.
    set +e
    (
        set -eE
        # The last one counts: bash also reports commands in $( ) whose failure is then handled.
        trap 'printf "exit code %s of: %s\n" "$?" "$BASH_COMMAND" >"error_$STEP"' ERR
        body
    ) 2>&1 | tee "$log"
    status="${PIPESTATUS[0]}"
    set -e
    if ((status != 0)); then
        reason="exit code $status"
        if [[ -s "error_$STEP" ]]; then reason="$(<"error_$STEP")"; fi
        if [[ -s "reason_$STEP" ]]; then reason="$(<"reason_$STEP")"; fi
        give_up "$reason"
    fi
    date -u +%FT%TZ >"fin_$STEP" || unwritten "fin_$STEP"
}
