# Sorts out what is no price. A few such items are normal; many mean that the shop changed its pages.
. ./lib.sh

wait_for "$PACE"
awk -F '\t' -v good="$WORK/good.part" -v bad="$WORK/bad.part" '
    BEGIN { printf "" > good; printf "" > bad }
    NF == 4 && $3 ~ /^[0-9]+(\.[0-9]+)?$/ && $3 > 0 { print > good; next }
    { print > bad }
' "$WORK/items"
mv "$WORK/good.part" "$WORK/good"
mv "$WORK/bad.part" "$WORK/bad"

all=$(output_of items)
good=$(wc -l < "$WORK/good" | tr -d ' ')
bad=$(wc -l < "$WORK/bad" | tr -d ' ')
awk -F '\t' '{ print "No price: " $1 " " $2 " (" $3 ")" }' "$WORK/bad"
echo "$good of ${all:-$((good + bad))} items have a price, $bad do not"
report "{\"output\": {\"valid\": $good, \"refused\": $bad}, \"progress\": 1}"
if [ "$good" -eq 0 ] || [ "$((bad * 10))" -gt "$good" ]; then
    echo "Too many items without a price: the pages must have changed" >&2
    exit 1
fi
