#!/usr/bin/env bash
# Takes pictures of every page of the window, busy and empty, dark and light, in three sizes, on a virtual display.
#
#     assets/screenshots.sh PROGRAM OUT_DIR [LOOK…]
#
# PROGRAM is a leverframe with a window; a LOOK is one of the names in `looks` below (default: all).
# Needs Xvfb, xdotool and ImageMagick. The data directory and the display are made here and removed again.
set -euo pipefail

program=$(realpath "$1")
out=$(realpath -m "$2")
shift 2

# NAME THEME WIDTH HEIGHT SCALE: the size of the screen in pixels, and percent.
looks=(
    "dark dark 1280 800 100"
    "light light 1280 800 100"
    "small dark 900 600 100"
    "small-light light 900 600 100"
    "large dark 2560 1440 100"
    "large-light light 2560 1440 200"
    "tiny dark 640 480 100"
    "tiniest dark 320 240 100"
)

work=$(mktemp -d)
data="$work/data"
mkdir -p "$out"
display_pid=""
window_pid=""

finish() {
    [ -z "$window_pid" ] || kill -9 "$window_pid" 2>/dev/null || true
    kill_what_runs
    [ -z "$display_pid" ] || kill "$display_pid" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

# The engine, its supervisor and the steps: all that knows this data directory.
kill_what_runs() {
    local environ
    for environ in $(grep -ls -- "LEVERFRAME_DATA_DIR=$data" /proc/[0-9]*/environ || true); do
        environ=${environ%/environ}
        [ "${environ#/proc/}" = $$ ] || kill -9 "${environ#/proc/}" 2>/dev/null || true
    done
}

leverframe() { LEVERFRAME_DATA_DIR=$data "$program" "$@" </dev/null; }

# A past, jobs and a broken file, through the command line as a user would make them.
make_data() {
    mkdir -p "$data/pipelines"
    leverframe init "$data/pipelines" >/dev/null 2>&1
    # Fails each seventh time, and sometimes takes longer.
    cat >"$data/pipelines/etl-sales.toml" <<EOF
description = "Loads the sales of yesterday into the warehouse"
env = { COUNTER = "$work/counter" }
[[step]]
id = "extract"
run = 'n=\$((\$(cat "\$COUNTER" 2>/dev/null || echo 0) + 1)); echo \$n > "\$COUNTER"; sleep 0.\$((n % 5 + 1))'
[[step]]
id = "transform"
needs = ["extract"]
run = 'sleep 0.3'
[[step]]
id = "check"
needs = ["extract"]
run = 'n=\$(cat "\$COUNTER"); echo "checks batch \$n"; sleep 0.1; if [ \$((n % 7)) = 0 ]; then echo "row 4711: price is missing" >&2; exit 3; fi'
[[step]]
id = "load"
needs = ["transform", "check"]
run = 'sleep 0.2'
EOF
    cat >"$data/pipelines/train-model.toml" <<'EOF'
description = "Trains the model on the GPU at night"
[[step]]
id = "prepare"
run = 'for n in 1 2 3 4 5; do printf "\033[32mINFO\033[0m shard %d of 5\n" $n; done'
[[step]]
id = "train"
run = '''
i=0
while [ $i -lt 4000000 ]; do i=$((i + 1))
  if [ $((i % 20000)) = 0 ]; then echo "{\"progress\": $(awk "BEGIN{print $i/4000000}"), \"message\": \"epoch $((i / 20000)) of 200\"}" >> "$LEVERFRAME_REPORT"; echo "epoch $((i / 20000)) loss $(awk "BEGIN{print 1/(1+$i/400000)}")"; sleep 0.2; fi
done'''
[[step]]
id = "publish"
run = "true"
EOF
    printf 'description = "Somebody is still writing it"\n[[step]]\nid = "one"\nrun = ["true"]\nneed = ["zero"]\n' \
        >"$data/pipelines/broken.toml"
    local n
    for n in $(seq 1 24); do
        leverframe run etl-sales >/dev/null 2>&1 || true
    done
    leverframe run nightly-backup >/dev/null 2>&1 || true
    leverframe schedule add etl-nightly --pipeline etl-sales --daily 02:00 >/dev/null 2>&1
    leverframe schedule add prices --pipeline price-list --weekly "mon 09:00" --tz Europe/Madrid >/dev/null 2>&1
    leverframe schedule add backup --pipeline nightly-backup --every 6h >/dev/null 2>&1
    leverframe schedule add train --pipeline train-model --after etl-nightly --disabled >/dev/null 2>&1
}

keys() { xdotool key --clearmodifiers "$@"; sleep 0.6; }

# Runs what is typed into the palette.
command() {
    keys ctrl+k
    xdotool type --delay 20 "$1"
    sleep 0.5
    keys Return
}

picture() {
    sleep "${2:-0.8}"
    import -window root "$out/$look-$1.png"
}

start_display() {
    local number
    mkfifo "$work/display"
    Xvfb -displayfd 3 -screen 0 "$1x$2x24" -nolisten tcp 3>"$work/display" 2>/dev/null &
    display_pid=$!
    read -r -t 60 number <"$work/display"
    rm "$work/display"
    export DISPLAY=":$number"
    unset WAYLAND_DISPLAY
}

# Opens the window over the whole screen.
open_window() {
    printf 'theme = "%s"\nwidth = %s.0\nheight = %s.0\nscale = %s\nposition = [0.0, 0.0]\n' "$1" "$2" "$3" "$4" >"$data/window.toml"
    LEVERFRAME_DATA_DIR=$data LIBGL_ALWAYS_SOFTWARE=1 "$program" </dev/null >"$work/window.log" 2>&1 &
    window_pid=$!
    local id
    id=$(timeout 60 xdotool search --sync --onlyvisible --name Leverframe | head -1)
    sleep 1.5
    xdotool windowmove "$id" 0 0 windowsize "$id" "$2" "$3" windowfocus "$id"
    xdotool mousemove 3 3
    sleep 1
}

# Ends window, engine and what still runs.
close_window() {
    kill -9 "$window_pid" 2>/dev/null || true
    wait "$window_pid" 2>/dev/null || true
    window_pid=""
    kill_what_runs
    kill "$display_pid"
    wait "$display_pid" 2>/dev/null || true
    display_pid=""
}

take_all() {
    local theme width height scale
    read -r look theme width height scale <<<"$1"
    start_display "$width" "$height"

    # The first look of a newcomer.
    mkdir -p "$data"
    open_window "$theme" "$width" "$height" "$scale"
    picture empty-now
    keys ctrl+2; picture empty-history
    keys ctrl+4; picture empty-schedule
    keys ctrl+6; picture empty-away
    close_window
    rm -rf "$data"
    cp -a "$work/made" "$data"

    start_display "$width" "$height"
    open_window "$theme" "$width" "$height" "$scale"
    command "start train-model"; sleep 1
    command "start price-list"; sleep 1
    command "start hello"
    keys ctrl+1; command "start... nightly"; picture start-form; keys Escape
    keys ctrl+1
    picture now 12
    # The message about the pause goes away.
    keys Down; keys space; picture now-selected 9
    keys Down; keys Return; picture run 1.5
    keys ctrl+l; picture log 1.5
    keys Escape; keys Escape
    keys ctrl+k; picture palette; keys Escape
    keys ctrl+o; picture outline; keys Escape
    keys ctrl+2; picture history 1.5
    keys Down; picture history-selected 1.5
    keys ctrl+3; picture pipelines
    keys Down; keys Down; picture pipelines-selected
    keys ctrl+4; picture schedule
    keys Down; picture job
    keys ctrl+5; picture machine 2
    keys ctrl+6; picture away
    keys ctrl+comma; picture settings
    keys ctrl+q; picture quit; keys Escape
    close_window
    rm -rf "$data"
}

make_data
mv "$data" "$work/made"
[ $# -gt 0 ] || set -- all
for one in "${looks[@]}"; do
    for wanted in "$@"; do
        if [ "$wanted" = all ] || [ "$wanted" = "${one%% *}" ]; then
            take_all "$one"
        fi
    done
done
