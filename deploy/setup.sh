#!/usr/bin/env bash
# Prepares this machine for one part of Boardline: Debian packages, then .venv. What is done already is skipped.
#
#   deploy/setup.sh EXTRA [PROGRAM...]
#
# EXTRA is an extra of pyproject.toml, or "base" for none; PROGRAMs are the system programs that the part needs.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" # where Debian keeps mosquitto and mariadbd
VENV=.venv
LOG=var/setup.log

say() { printf 'set-up: %s\n' "$*"; }
die() {
    printf 'set-up: %s\n' "$*" >&2
    exit 1
}

# Runs a command in silence; if it fails, shows the end of what it said.
quietly() {
    "$@" >"$LOG" 2>&1 </dev/null && return
    tail -n 20 "$LOG" >&2
    return 1
}

# As root without asking for a password; fails where that cannot be had.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

can_install() {
    command -v apt-get >/dev/null && as_root true 2>/dev/null
}

debian_package_of() {
    case $1 in
        mosquitto | mosquitto_passwd) echo mosquitto ;;
        mosquitto_sub | mosquitto_pub) echo mosquitto-clients ;;
        mariadbd | mariadb-install-db) echo mariadb-server ;;
        ip) echo iproute2 ;;
        mkfs.ext4) echo e2fsprogs ;;
        gst-inspect-1.0) # and with it GStreamer's RTSP server
            printf '%s\n' gstreamer1.0-tools gstreamer1.0-plugins-{base,good,ugly} gir1.2-gst-rtsp-server-1.0 python3-gi ;;
        mcs | mono) printf '%s\n' mono-mcs mono-runtime libnewtonsoft-json5.0-cil ;; # a client in C#
        chromium) printf '%s\n' chromium fonts-nanum ;; # and letters for what it shows in Korean
        *) echo "$1" ;;
    esac
}

apt_install() {
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@")
    as_root "${install[@]}" || { as_root apt-get update -qq && as_root "${install[@]}"; }
}

# Debian starts mosquitto and mariadb as services on their well-known ports. Boardline runs its own, so a service that
# came with this set-up is switched off again; one that was there before is left alone.
disable_services_of() {
    [ -d /run/systemd/system ] || return 0
    local package
    for package in "$@"; do
        case $package in
            mosquitto) as_root systemctl disable --now mosquitto ;;
            mariadb-server) as_root systemctl disable --now mariadb ;;
        esac
    done
}

install_packages() {
    can_install || die "missing: $*. Please run: sudo apt-get install $*"
    say "installing $*"
    quietly apt_install "$@" || die "could not install $*. Please run: sudo apt-get install $*"
    quietly disable_services_of "$@" || say "could not switch off the system service of $*"
}

ensure_programs() {
    local program packages=()
    for program in "$@"; do
        command -v "$program" >/dev/null || packages+=("$(debian_package_of "$program")")
    done
    [ ${#packages[@]} = 0 ] || mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
    [ ${#packages[@]} = 0 ] || install_packages "${packages[@]}"
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3.11 python3.12 python3.13 python3.14; do
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$candidate"; return; }
    done
    die "Boardline needs Python 3.11 or newer. Install it, or name it: PYTHON=/path/to/python3.11 make ..."
}

ensure_venv() {
    "$VENV/bin/python" -m pip --version >/dev/null 2>&1 && return
    local python
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_packages "python$("$python" -c \
        'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    say "creating $VENV with $("$python" --version)"
    quietly "$python" -m venv --clear "$VENV" || die "could not create $VENV"
}

# The extras that hold everything of the one asked for.
supersets_of() {
    case $1 in
        base) echo base broker edge inference cuda actuator recorder dashboard simulator demo train dev ;;
        broker | edge | dashboard | simulator) echo "$1" demo dev ;;
        recorder) echo recorder dashboard demo dev ;;
        actuator) echo actuator edge demo dev ;;
        inference) echo inference cuda train demo dev ;;
        demo | train) echo "$1" dev ;;
        *) echo "$1" ;;
    esac
}

fingerprint() { { pwd && cat pyproject.toml constraints.txt; } | cksum; }

is_installed() {
    local extra
    for extra in $(supersets_of "$1"); do
        [ "$(cat "$VENV/.boardline-$extra" 2>/dev/null)" = "$2" ] && return
    done
    return 1
}

ensure_packages() {
    local extra=$1 current target=.
    current=$(fingerprint)
    is_installed "$extra" "$current" && return
    ensure_venv
    [ "$extra" = base ] || target=".[$extra]"
    say "installing the Python packages of '$extra' (once; a few minutes on a slow line)"
    quietly "$VENV/bin/python" -m pip install -qq --disable-pip-version-check -c constraints.txt -e "$target" ||
        die "pip failed; its last lines are above"
    ensure_opencv_loads
    echo "$current" >"$VENV/.boardline-$extra"
    say "ready"
}

# opencv-python is built for a desktop: a bare Debian lacks two libraries that it loads.
ensure_opencv_loads() {
    compgen -G "$VENV/lib/python3*/site-packages/cv2" >/dev/null || return 0
    "$VENV/bin/python" -c 'import cv2' 2>/dev/null || install_packages libgl1 libglib2.0-0
    quietly "$VENV/bin/python" -c 'import cv2' || die "opencv-python does not load on this machine"
}

mkdir -p -m 700 var
! [ -O var ] || chmod 700 var # of one that was there before
for place in var var/.setup-lock; do
    [ ! -e "$place" ] || [ -w "$place" ] ||
        die "var belongs to $(stat -c %U var): run as $(stat -c %U var), or: sudo chown -R $(id -un) var"
done
exec 9>var/.setup-lock
! command -v flock >/dev/null || flock 9 # two makes at once would install into one .venv
ensure_programs "${@:2}"
ensure_packages "${1:?usage: deploy/setup.sh EXTRA [PROGRAM...]}"
