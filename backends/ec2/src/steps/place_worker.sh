# A path that begins with a machine's name is for such machines only, and the name is left out of it.
fetch_manifest
find_myself
machine="$(uname -m)"
while read -r -u 3 kind digest mode path url; do
    [[ "$kind" == file ]] || continue
    case "$path" in
    scenario/*) continue ;;
    "$machine"/*) path="${path#"$machine"/}" ;;
    x86_64/* | aarch64/*) continue ;;
    esac
    fetch_file "$digest" "$mode" "$path" "$url"
done 3<manifest
[[ -x bin/runner ]] || die 'the manifest names no program bin/runner for this machine'
timeout 20 bin/runner --version || die "bin/runner does not run here: it ends with exit code $?"
