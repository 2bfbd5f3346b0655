# Asks the bank for the day's rates of exchange. The bank is busy at the first attempt, so that there is a
# retry to be seen.
. ./lib.sh

echo "Asks the bank, attempt $LEVERFRAME_ATTEMPT"
progress 1 4 "waits for the bank"
wait_for "$((PACE * 2))"
if [ "$LEVERFRAME_ATTEMPT" -eq 1 ]; then
    echo "503: the bank is busy, come back later" >&2
    exit 75
fi
progress 3 4 "reads the rates"
wait_for "$((PACE * 2))"
sed -n 's/.*data-currency="\([A-Z]*\)" data-rate="\([0-9.]*\)".*/\1 \2/p' pages/rates.html > "$WORK/rates.part"
mv "$WORK/rates.part" "$WORK/rates"
cat "$WORK/rates"
report "{\"output\": {\"currencies\": $(wc -l < "$WORK/rates" | tr -d ' ')}, \"progress\": 1}"
