# The agent may be there before the user data has run.
not_limited='the time limit of this host is not armed: its image runs no user data at its first boot, or has no shutdown'
limited="${NETBENCH_DIR:-/var/lib/netbench}/limited"
until [[ -e "$limited" ]]; do
    ((SECONDS < LIMITED_LIMIT_S)) || die "$not_limited"
    sleep 0.2
done
case "$(uname -m)" in
x86_64 | aarch64) ;;
*) die "this host is $(uname -m): only x86_64 and aarch64 are known" ;;
esac
missing=''
for tool in aws curl sha256sum setsid flock tail tee; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
[[ -z "$missing" ]] || die "this host lacks:$missing; use an image of Amazon Linux 2023, or one that has them"
