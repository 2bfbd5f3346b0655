# Puts the prices, in one currency, into the list: out/prices.csv, which is replaced as a whole. The list
# before it is kept, so that the report can tell what became dearer.
. ./lib.sh

wait_for "$PACE"
[ -f "$OUT/prices.csv" ] || : > "$OUT/prices.csv"
# The list as it was before this run, also when this step runs again.
[ -f "$WORK/before.csv" ] || cp "$OUT/prices.csv" "$WORK/before.csv"

# A DELTA goes over the list as it was; a FULL_REFRESH begins with an empty one.
case $RUN_TYPE in
    DELTA) old=$WORK/before.csv ;;
    *) old=/dev/null ;;
esac
awk -v rates="$WORK/rates" -v old="$old" '
    BEGIN {
        while ((getline line < rates) > 0) { split(line, part, " "); rate[part[1]] = part[2] }
        while ((getline line < old) > 0) { split(line, part, ";"); row[part[1]] = line }
        FS = "\t"
    }
    !($4 in rate) { print "No rate for " $4 > "/dev/stderr"; exit 1 }
    { row[$1] = sprintf("%s;%s;%.2f", $1, $2, $3 / rate[$4]) }
    END { for (sku in row) print row[sku] }
' "$WORK/good" > "$WORK/unsorted"
sort "$WORK/unsorted" > "$OUT/prices.part"
mv "$OUT/prices.part" "$OUT/prices.csv"

n=$(wc -l < "$OUT/prices.csv" | tr -d ' ')
echo "$n prices in $OUT/prices.csv"
report "{\"output\": {\"prices\": $n}, \"progress\": 1}"
