# What is built is found again by the orchestrator: a program lies below artifacts/ by its digest, and its digest below
# the run's built/<machine>/<program>.
PATH="$HOME/.cargo/bin:$PATH"
if ! command -v cargo >/dev/null; then
    command -v dnf >/dev/null || die 'a driver is to be built here, but there is neither cargo nor dnf to install it'
    dnf install --assumeyes --quiet cargo gcc gcc-c++ cmake git openssl-devel perl
fi
export CARGO_TARGET_DIR="$dir/build/target"

# build_package PACKAGE VERSION GIT REVISION PROGRAM...: VERSION is for the registry, GIT and REVISION for a repository.
build_package() {
    local package="$1" version="$2" git="$3" revision="$4" program digest
    shift 4
    if [[ -n "$git" ]]; then
        cargo install --locked --root build --git "$git" --rev "$revision" "$package"
    else
        cargo install --locked --root build --version "$version" "$package"
    fi
    for program in "$@"; do
        [[ -x "build/bin/$program" ]] || die "$package was built, but it has no program $program"
        digest="$(sha256sum <"build/bin/$program")"
        digest="${digest%% *}"
        aws s3 cp --only-show-errors "build/bin/$program" "s3://$BUCKET/artifacts/$digest"
        printf '%s\n' "$digest" >"build/$program.digest"
        aws s3 cp --only-show-errors "build/$program.digest" "s3://$BUCKET/${PREFIX}built/$(uname -m)/$program"
    done
}
