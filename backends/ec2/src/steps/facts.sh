# Facts about the host, one a line: source, name and value, with tabs between. A fact that cannot be had is left out.

# take_facts NAME: all of them in out/facts/NAME.tsv, or none. No step fails for want of them.
take_facts() {
    are_whole=yes
    if mkdir -p out/facts && write_facts >facts.new && [[ -n "$are_whole" ]] &&
        mv -T facts.new "out/facts/$1.tsv"; then return 0; fi
    rm -f facts.new || true
    printf 'netbench: the facts of this host cannot be written\n' >&2
}

fact() {
    printf '%s\t%s\t%s\n' "$1" "$2" "${3//[$'\t\r\n']/ }" || are_whole=''
}

write_facts() {
    fact time utc "$(date -u +%FT%TZ)"
    fact kernel release "$(uname -r)"
    fact kernel machine "$(uname -m)"
    if [[ -r /etc/os-release ]]; then
        fact system name "$(. /etc/os-release && printf '%s' "${PRETTY_NAME:-}")"
    fi
    instance_facts
    cpu_facts
    sysctl_facts
    interface_facts
}

# From the instance metadata service, version 2; an emulated cloud has none.
instance_facts() {
    local token name value base=http://169.254.169.254/latest
    if [[ "${AWS_EC2_METADATA_DISABLED:-false}" == true || -n "${AWS_ENDPOINT_URL:-}" ]]; then return 0; fi
    token="$(curl --fail --silent --max-time 2 --request PUT \
        --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' --url "$base/api/token")" || return 0
    for name in instance-id instance-type instance-life-cycle ami-id placement/availability-zone \
        placement/group-name placement/partition-number; do
        value="$(curl --fail --silent --max-time 2 --header "X-aws-ec2-metadata-token: $token" \
            --url "$base/meta-data/$name")" || continue
        fact instance "$name" "$value"
    done
}

cpu_facts() {
    local name value
    command -v lscpu >/dev/null || return 0
    while IFS=: read -r name value; do
        fact lscpu "$name" "${value#"${value%%[! ]*}"}"
    done < <(lscpu || true)
}

sysctl_facts() {
    local file name value
    for file in /proc/sys/net/core/* /proc/sys/net/ipv4/tcp_* /proc/sys/net/ipv4/udp_* \
        /proc/sys/net/ipv4/ip_local_port_range; do
        [[ -f "$file" && -r "$file" ]] || continue
        name="${file#/proc/sys/}"
        # Hundreds of files, and no process for each of them. The end of the file is no failure.
        value=''
        { IFS= read -r -d '' value <"$file" || true; } 2>/dev/null
        fact sysctl "${name//\//.}" "${value%$'\n'}"
    done
}

# The driver's and the device's own counters of the interface with the default route, such as bw_in_allowance_exceeded.
interface_facts() {
    local interface destination name value primary=''
    [[ -r /proc/net/route ]] || return 0
    while read -r interface destination _; do
        if [[ "$destination" == 00000000 ]]; then
            primary="$interface"
            break
        fi
    done </proc/net/route
    if [[ -z "$primary" ]]; then return 0; fi
    fact interface name "$primary"
    fact interface mtu "$(cat "/sys/class/net/$primary/mtu" 2>/dev/null || true)"
    command -v ethtool >/dev/null || return 0
    while IFS=: read -r name value; do
        name="${name#"${name%%[! ]*}"}"
        if [[ -n "$value" ]]; then fact ethtool "$name" "${value# }"; fi
    done < <(ethtool -S "$primary" 2>/dev/null || true)
}
