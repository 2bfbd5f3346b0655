# What all steps share. Read in with ". ./lib.sh".

set -eu

# Where this run keeps what its steps make for each other, beside this file.
WORK=work/$LEVERFRAME_RUN_ID
# Seconds for a page, and the run's type, as the pipeline's parameters.
PACE=${LEVERFRAME_PARAM_PACE:-2}
RUN_TYPE=${LEVERFRAME_PARAM_RUN_TYPE:-FULL_REFRESH}
mkdir -p "$WORK" "$OUT"

# Appends one line of JSON to what this step reports.
report() {
    printf '%s\n' "$1" >> "$LEVERFRAME_REPORT"
}

# progress DONE ALL MESSAGE: how far the step is.
progress() {
    report "$(awk -v done="$1" -v all="$2" -v message="$3" \
        'BEGIN { printf "{\"progress\": %.3f, \"message\": \"%s\"}", done / all, message }')"
}

# output_of NAME: the number that an earlier step handed on under this name; nothing if none did.
output_of() {
    sed -n 's/.*"'"$1"'"[[:space:]]*:[[:space:]]*\(-\{0,1\}[0-9][0-9.]*\).*/\1/p' "$LEVERFRAME_OUTPUTS" | sed -n 1p
}

# Stands for the time that a network would take.
wait_for() {
    [ "$1" -le 0 ] || sleep "$1"
}
