#!/bin/bash
# Installs nodes of Boardline on this machine as services, or brings them up to date. What is done already is left alone.
#
#   sudo deploy/raspberry_pi/install.sh                asks for what it needs to know
#   sudo deploy/raspberry_pi/install.sh --role edge --side left --role actuator \
#       --broker line-pc --credentials edge-left.yaml --credentials actuator.yaml
#
# --role ROLE          edge, actuator; on a PC also broker, inference, recorder. May come several times
# --side SIDE          the side that the edge's camera looks at
# --source SOURCE      its camera: 0, /dev/video2, csi://0, rtsp://…; by default 0
# --broker HOST        where the broker runs
# --credentials FILE   a node's file from the broker's machine, var/broker/credentials/<node>.yaml; one for each node
# --led-pin ROLE=PIN   BCM number of the status lamp of edge or actuator, as edge=24
# --no-start           do not start the services
# --root DIR           install into this folder instead, without packages and without starting anything
# --python FILE        use this Python, which has Boardline, instead of making /opt/boardline/venv
set -euo pipefail
umask 022

sources=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
roles=() side='' source=0 broker='' credentials=() root='' start=1 python='' changed=0
declare -A led_pins=()

say() { printf 'install: %s\n' "$*"; }
die() {
    printf 'install: %s\n' "$*" >&2
    exit 2
}

usage() { sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

read_options() {
    local value
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) usage && exit 0 ;;
            --no-start) start='' && shift && continue ;;
            --*=*) value=${1#*=} && set -- "${1%%=*}" "$value" "${@:2}" && continue ;;
        esac
        [ $# -gt 1 ] || die "$1 needs a value; --help lists the options"
        value=$2
        case $1 in
            --role) roles+=("$value") ;;
            --side) side=$value ;;
            --source) source=$value ;;
            --broker) broker=$value ;;
            --credentials) credentials+=("$value") ;;
            --led-pin)
                [[ $value =~ ^(edge|actuator)=([0-9]+)$ ]] || die "--led-pin: as edge=24 or actuator=16"
                led_pins[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
                ;;
            --root) root=$value ;;
            --python) python=$value ;;
            *) die "unknown option $1; --help lists them" ;;
        esac
        shift 2
    done
}

# Asks for a value that no option gave.
ask() {
    local answer
    [ -t 0 ] || die "$2 is missing; --help lists the options"
    read -rp "$1 " answer
    [ -n "$answer" ] || die "$2 is missing"
    echo "$answer"
}

has_role() { [[ " ${roles[*]} " == *" $1 "* ]]; }

# The nodes to install, one a line.
nodes() {
    local role
    for role in "${roles[@]}"; do
        if [ "$role" = edge ]; then echo "edge-$side"; else echo "$role"; fi
    done
}

ask_for_the_rest() {
    local node file answer role
    if [ ${#roles[@]} = 0 ]; then
        answer=$(ask 'What does this machine do (edge, actuator, or both with a space between)?' --role)
        read -ra roles <<<"$answer"
    fi
    for role in "${roles[@]}"; do
        case $role in edge | actuator | broker | inference | recorder) ;; *) die "--role: there is no $role" ;; esac
    done
    if has_role edge && [ -z "$side" ]; then side=$(ask 'Which side does its camera look at (left, right)?' --side); fi
    [[ -z $side || $side =~ ^[A-Za-z0-9_.-]+$ ]] || die "--side: $side is no name"
    [[ $source != *[\'[:cntrl:]]* ]] || die "--source: an address has no quotes; write %27"
    if has_role broker; then broker=${broker:-127.0.0.1}; fi
    if [ -z "$broker" ] && [ ! -f "$root/etc/boardline/line.yaml" ]; then
        broker=$(ask 'On which machine does the broker run (name or address)?' --broker)
    fi
    [[ $broker =~ ^[][A-Za-z0-9_.:-]*$ ]] || die "--broker: $broker is no name of a host"
    has_role broker && return
    for node in $(nodes); do
        [ -z "$(file_of "$node")" ] || continue
        [ -f "$root/etc/boardline/credentials/$node.yaml" ] && continue
        file=$(ask "Where is the credentials file of $node (copied from the broker's machine)?" "--credentials of $node")
        credentials+=("$file")
        [ -n "$(file_of "$node")" ] || die "--credentials: $file is not a login of $node"
    done
}

# The credentials file among those given whose login is that of the node.
file_of() {
    local file
    for file in "${credentials[@]}"; do
        [ -r "$file" ] || die "--credentials: cannot read $file"
        ! grep -Eq "^username: ['\"]?$1(@[^'\"]*)?['\"]?\$" "$file" || { echo "$file" && return; }
    done
}

# Writes what comes in to a file of this mode, unless it is there already; `ours` gives it to the services' user.
put() {
    local path=$root$1 mode=$2 owner=${3:-root} new
    new=$(mktemp)
    cat >"$new"
    mkdir -p "$(dirname "$path")"
    if ! cmp -s "$new" "$path" || [ "$(stat -c %a "$path")" != "$mode" ]; then
        install -m "$mode" "$new" "$path"
        changed=1
        say "wrote $1"
    fi
    rm "$new"
    own "$owner" "$path"
}

folder() {
    local path=$root$1
    [ -d "$path" ] || changed=1
    mkdir -p "$path"
    [ "$(stat -c %a "$path")" = "$2" ] || chmod "$2" "$path"
    own "${3:-root}" "$path"
}

# Only root can give files away; into a scratch folder anybody may install.
own() {
    [ "$(id -u)" = 0 ] || return 0
    local id=0
    [ "$1" != ours ] || id=$(awk -F: '$1 == "boardline" { print $3 }' "$root/etc/passwd")
    [ "$(stat -c %u "$2")" = "$id" ] || chown "$id" "$2"
}

install_packages() {
    local wanted=(python3-venv libgl1 libglib2.0-0) missing=() package # the last is libglib2.0-0t64 since Debian 13
    # From Raspberry Pi OS, because PyPI has lgpio ready-made only for some versions of Python.
    if apt-cache show python3-lgpio >/dev/null 2>&1 && { has_role edge || has_role actuator; }; then
        wanted+=(python3-lgpio)
    fi
    if [[ $source == csi:* ]]; then wanted+=(python3-picamera2); fi
    if has_role broker; then wanted+=(mosquitto); fi
    for package in "${wanted[@]}"; do
        { dpkg-query -W -f '${db:Status-Abbrev}\n' "$package" "${package}t64" 2>/dev/null || true; } | grep -q '^ii' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    [[ " ${missing[*]} " != *" mosquitto "* ]] || systemctl disable --now mosquitto # Boardline runs its own
    changed=1
}

make_user() {
    put /usr/lib/sysusers.d/boardline.conf 644 <"$sources/deploy/systemd/sysusers.conf"
    mkdir -p "$root/etc"
    if [ "$(id -u)" = 0 ]; then systemd-sysusers ${root:+--root="$root"} boardline.conf; fi
}

# The packages, in an environment that sees Debian's own: lgpio and picamera2 come from there.
make_venv() {
    local venv=/opt/boardline/venv extras current pip
    mkdir -p /opt/boardline && touch /opt/boardline/extras
    extras=$(printf '%s\n' "${roles[@]}" | sort -u - /opt/boardline/extras | paste -sd,)
    current=$(cd "$sources" && { echo "$extras" && cat pyproject.toml constraints.txt && find . -name '*.py' \
        -not -path './.venv/*' -not -path './var/*' -print0 | sort -z | xargs -0 cat; } | sha256sum)
    if [ "$(cat /opt/boardline/installed 2>/dev/null)" = "$current" ]; then return; fi
    [ -x "$venv/bin/python" ] || python3 -m venv --system-site-packages "$venv"
    say "installing Boardline and its packages (some minutes)"
    pip=("$venv/bin/python" -m pip install -qq --disable-pip-version-check)
    grep -v '^lgpio==' "$sources/constraints.txt" >/opt/boardline/constraints.txt
    "${pip[@]}" -c /opt/boardline/constraints.txt "${sources}[$extras]"
    "${pip[@]}" --force-reinstall --no-deps "$sources" # also where the version is the same
    if [[ $source == csi:* ]]; then
        # Debian's is built for an older numpy than ours: https://github.com/raspberrypi/picamera2/issues/1211
        "${pip[@]}" --ignore-installed --no-deps simplejpeg
    fi
    tr , '\n' <<<"$extras" >/opt/boardline/extras
    echo "$current" >/opt/boardline/installed
    changed=1
}

write_configuration() {
    local node file
    folder /etc/boardline 755 ours # `set-up` writes there
    folder /etc/boardline/credentials 700 ours
    if [ -f "$root/etc/boardline/line.yaml" ]; then
        say "kept /etc/boardline/line.yaml: edit it to change the line's settings"
    else
        put /etc/boardline/line.yaml 644 < <(line_yaml)
    fi
    [ -f "$root/etc/boardline/pcb_defects.yaml" ] || put /etc/boardline/pcb_defects.yaml 644 <"$sources/config/pcb_defects.yaml"
    put /usr/share/doc/boardline/line.yaml 644 <"$sources/config/line.yaml"
    folder /var/lib/boardline 755 ours
    for node in $(nodes); do
        folder "/var/lib/boardline/$node" 700 ours
        [ -f "$root/etc/boardline/$node.env" ] || put "/etc/boardline/$node.env" 600 < <(environment_of "$node")
        file=$(file_of "$node")
        [ -z "$file" ] || put "/etc/boardline/credentials/$node.yaml" 600 ours <"$file"
    done
}

line_yaml() {
    cat <<YAML
# This machine's part of the line, written once by install.sh and yours from then on.
# /usr/share/doc/boardline/line.yaml has every key with its default.
sides: [$(case $side in '' | left | right) echo 'left, right' ;; *) echo "$side" ;; esac)]
taxonomy: /etc/boardline/pcb_defects.yaml   # defects, gates and their pins
broker:
  host: ${broker:-127.0.0.1}
  credentials: $(if has_role broker; then echo /var/lib/boardline/broker/var/broker/credentials; else echo /etc/boardline/credentials; fi)
log:
  directory: /var/log/boardline
YAML
    ! has_role inference || printf 'inference:\n  model: /opt/boardline/models/starter/boardline-starter.onnx\n'
}

# What differs between the nodes of one machine; it outranks line.yaml.
environment_of() {
    echo "# Settings of $1 alone. They outrank /etc/boardline/line.yaml: PCB_, then the key in capitals, __ for each dot."
    local pin=${led_pins[${1%%-*}]:-}
    [ -z "$pin" ] || echo "PCB_LED_PIN=$pin"
    [[ $1 != edge-* ]] || printf "PCB_EDGE__SOURCE='%s'\n" "$source"
}

install_units() {
    local role unit
    put /etc/systemd/system/boardline-.service.d/common.conf 644 <"$sources/deploy/systemd/boardline-.service.d/common.conf"
    for role in "${roles[@]}"; do
        unit=boardline-$role.service
        [ "$role" != edge ] || unit=boardline-edge@.service
        put "/etc/systemd/system/$unit" 644 < <(with_python "$sources/deploy/systemd/$unit")
        [ "$role" != inference ] || install_model
    done
    put /usr/local/bin/boardline 755 < <(with_python "$sources/deploy/raspberry_pi/boardline.sh")
}

with_python() { sed "s|/opt/boardline/venv/bin/python|${python:-/opt/boardline/venv/bin/python}|" "$1"; }

install_model() {
    local file
    for file in "$sources"/models/starter/*; do
        put "/opt/boardline/models/starter/${file##*/}" 644 <"$file"
    done
}

start_services() {
    local node units=()
    for node in $(nodes); do
        case $node in edge-*) units+=("boardline-edge@${node#edge-}") ;; *) units+=("boardline-$node") ;; esac
    done
    systemctl daemon-reload
    systemctl enable --quiet "${units[@]}"
    if [ "$changed" = 1 ]; then systemctl restart "${units[@]}"; else systemctl start "${units[@]}"; fi
    say "running: ${units[*]}; look on with: journalctl -fu '${units[0]}'"
}

say_what_is_left() {
    local node
    if [ -f /sys/fs/cgroup/cgroup.controllers ] && ! grep -qw memory /sys/fs/cgroup/cgroup.controllers; then
        say "MemoryMax of the services has no effect yet: add cgroup_enable=memory to the line in /boot/firmware/cmdline.txt, and start anew"
    fi
    for node in $(nodes); do
        case $node in edge-* | actuator) say "check it: sudo boardline $node doctor" ;; esac
    done
}

read_options "$@"
# shellcheck source=/dev/null
case "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" in
    bookworm | trixie) ;;
    *) say "this is neither Debian 12 (Bookworm) nor 13 (Trixie), nor a Raspberry Pi OS of theirs; trying all the same" ;;
esac
[ -n "$root" ] || [ "$(id -u)" = 0 ] || die "run it with sudo"
ask_for_the_rest
if [ -z "$root" ]; then
    install_packages
    [ -n "$python" ] || make_venv
else
    folder "" 755
    start=''
fi
make_user
write_configuration
install_units
[ -z "$start" ] || start_services
[ -n "$root" ] || say_what_is_left
[ "$changed" = 1 ] || say "nothing had to be done"
