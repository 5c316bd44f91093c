# What is built is found again by the orchestrator: a program lies below artifacts/ by its digest, and its digest below
# PLACE<machine>/<program>.
PATH="$HOME/.cargo/bin:$PATH"
if ! command -v cargo >/dev/null; then
    command -v dnf >/dev/null || die 'programs are to be built here, but there is neither cargo nor dnf to install it'
    dnf install --assumeyes --quiet cargo gcc gcc-c++ cmake git openssl-devel perl
fi
export CARGO_TARGET_DIR="$dir/build/target"

# build_package PLACE PROGRAM... -- ARGUMENT...: the arguments are for cargo, and name the package.
build_package() {
    local place="$1" programs=() program digest
    shift
    while [[ "$1" != -- ]]; do
        programs+=("$1")
        shift
    done
    shift
    cargo install --locked --root build "$@" "${programs[@]/#/--bin=}"
    for program in "${programs[@]}"; do
        [[ -x "build/bin/$program" ]] || die "$1 was built, but it has no program $program"
        digest="$(sha256sum <"build/bin/$program")"
        digest="${digest%% *}"
        aws s3 cp --only-show-errors "build/bin/$program" "s3://$BUCKET/artifacts/$digest"
        printf '%s\n' "$digest" >"build/$program.digest"
        aws s3 cp --only-show-errors "build/$program.digest" "s3://$BUCKET/$place$(uname -m)/$program"
    done
}
