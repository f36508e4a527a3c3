#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the README's two commands in fresh roots of a Debian release. Slow (minutes), needs root and debootstrap; not part of test.sh.
set -eu

usage() {
    cat <<'END'
usage: sh tests/fresh.sh bookworm|trixie [FOLDER] [root|user]...

Makes FOLDER/RELEASE-base with debootstrap (kept for the next time), copies it to FOLDER/RELEASE-root and FOLDER/RELEASE-user, puts the
working tree into each, and runs there, once as root and once as an ordinary user with sudo:
    sh tools/quickstart.sh
    sh tools/test.sh
FOLDER is /var/tmp/stipple-fresh unless given. The package mirror, proxies and certificates are those of this machine.
END
}

fail() {
    echo "fresh.sh: $*" >&2
    exit 1
}

case "${1-}" in
bookworm | trixie) release=$1 ;;
--help) usage && exit 0 ;;
*) usage >&2 && exit 2 ;;
esac
folder=${2:-/var/tmp/stipple-fresh}
shift "$(($# < 2 ? 1 : 2))"
kinds=${*:-root user}
for kind in $kinds; do
    case $kind in root | user) ;; *) usage >&2 && exit 2 ;; esac
done
[ "$(id -u)" = 0 ] || fail "needs root"
command -v debootstrap > /dev/null || fail "needs debootstrap"
tree=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
base=$folder/$release-base

# The mirror this machine uses for Debian itself.
mirror=$(apt-get indextargets --format '$(ORIGIN)/$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
    sed -n 's,^Debian/Debian ,,p' | head -n 1)
[ -n "$mirror" ] || fail "no Debian mirror in this machine's apt lists: run apt-get update"

make_base() {
    rm -rf --one-file-system "$base.part"
    debootstrap --variant=minbase --include=ca-certificates,sudo "$release" "$base.part" "$mirror" > "$base.log" 2>&1 ||
        fail "debootstrap failed: see $base.log"
    # How this machine reaches the registries: apt's proxy and date settings, pip's configuration, certificates, name look-up.
    apt-config dump | grep -E '^Acquire::(http|https|ftp)::|^Acquire::(Check-Valid-Until|Check-Date|Retries) ' \
        > "$base.part/etc/apt/apt.conf.d/99host" || true
    cp -L /etc/resolv.conf "$base.part/etc/resolv.conf"
    grep -v -E '^[^#]*\s(localhost|ip6-)' /etc/hosts >> "$base.part/etc/hosts" || true
    cp /etc/ssl/certs/ca-certificates.crt "$base.part/etc/host-certificates.crt"
    {
        if [ -f /etc/pip.conf ]; then grep -v '^ *cert *=' /etc/pip.conf; else echo '[global]'; fi
        echo 'cert = /etc/host-certificates.crt'
    } > "$base.part/etc/pip.conf"
    chroot "$base.part" useradd --create-home --shell /bin/sh tester
    echo 'tester ALL=(ALL) NOPASSWD: ALL' > "$base.part/etc/sudoers.d/tester"
    mv "$base.part" "$base"
}

# run_in ROOT USER COMMAND: a private mount namespace, so that nothing stays mounted.
run_in() {
    unshare --mount --propagation private sh -c '
        mount -t proc proc "$1/proc" && mount --rbind /sys "$1/sys" && mount --rbind /dev "$1/dev" || exit 1
        exec chroot "$1" su - "$2" -c "$3"' sh "$1" "$2" "$(passed_environment)$3" < /dev/null
}

# pip's settings and proxies of this machine, as assignments for the command line; certificates lie elsewhere in the root.
passed_environment() {
    env | grep -E '^(PIP_[A-Z_]*|https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY)=' | grep -v '^PIP_CERT=' |
        sed "s/'/'\\\\''/g; s/^\([^=]*\)=\(.*\)\$/export \1='\2';/" | tr '\n' ' '
}

timed() {
    start=$(date +%s)
    status=0
    run_in "$1" "$2" "$3" || status=$?
    echo "fresh.sh: $release, $2: \"$3\" took $(($(date +%s) - start)) s, exit code $status"
    [ "$status" = 0 ] || failed=1
}

[ -d "$base" ] || make_base
failed=0
for kind in $kinds; do
    root=$folder/$release-$kind
    rm -rf --one-file-system "$root"
    cp -a "$base" "$root"
    if [ "$kind" = root ]; then user=root home=/root; else user=tester home=/home/tester; fi
    # The space is meant: paths with spaces have to work.
    copy=$home/'a stipple'
    mkdir -p "$root$copy"
    git -C "$tree" ls-files -z --cached --others --exclude-standard |
        (cd "$tree" && tar --create --null --ignore-failed-read --files-from=- 2> /dev/null) |
        tar --extract --directory "$root$copy" --no-same-owner
    chroot "$root" chown -R "$user:" "$home"
    timed "$root" "$user" "sh '$copy/tools/quickstart.sh'"
    timed "$root" "$user" "cd '$copy' && sh tools/test.sh"
done
[ "$failed" = 0 ] || fail "$release: a command failed"
echo "fresh.sh: $release: both commands succeeded"
