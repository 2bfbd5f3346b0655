# Writes what a person wants to see: out/report.txt and out/report.html.
. ./lib.sh

wait_for "$PACE"
# One line for each change: group, article, name, price, price before.
awk -F ';' -v before="$WORK/before.csv" '
    BEGIN { while ((getline line < before) > 0) { split(line, part, ";"); was[part[1]] = part[3] } }
    { group = substr($1, 1, 2); n[group]++; sum[group] += $3; all++
      if (!(group in low) || $3 < low[group]) low[group] = $3 + 0
      if (!(group in high) || $3 > high[group]) high[group] = $3 + 0
      if (!($1 in was)) { fresh++ } else if ($3 > was[$1] + 0) { up++ } else if ($3 < was[$1] + 0) { down++ } }
    END {
        printf "all\t%d\t%d\t%d\t%d\n", all, fresh, up, down
        for (group in n) printf "group\t%s\t%d\t%.2f\t%.2f\t%.2f\n", group, n[group], low[group], sum[group] / n[group], high[group]
    }
' "$OUT/prices.csv" | sort > "$WORK/summary"

awk -F '\t' -v run="$LEVERFRAME_RUN_ID" -v type="$RUN_TYPE" '
    $1 == "all" { printf "Price list, %s (%s)\n%d prices in EUR: %d new, %d dearer, %d cheaper\n\n", run, type, $2, $3, $4, $5
                  printf "%-6s %6s %9s %9s %9s\n", "group", "items", "lowest", "average", "highest" }
    $1 == "group" { printf "%-6s %6d %9.2f %9.2f %9.2f\n", $2, $3, $4, $5, $6 }
' "$WORK/summary" > "$OUT/report.txt"

{
    echo '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Price list</title><style>'
    echo 'body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; color: #222 }'
    echo 'table { border-collapse: collapse; width: 100% } th, td { padding: .3rem .6rem; border-bottom: 1px solid #ddd }'
    echo 'td:not(:first-child), th:not(:first-child) { text-align: right; font-variant-numeric: tabular-nums }'
    echo '</style></head><body>'
    awk -F '\t' -v run="$LEVERFRAME_RUN_ID" -v type="$RUN_TYPE" '
        $1 == "all" { printf "<h1>Price list</h1><p>%s, %s: %d prices in EUR, %d new, %d dearer, %d cheaper.</p>\n", run, type, $2, $3, $4, $5
                      print "<table><tr><th>Group</th><th>Items</th><th>Lowest</th><th>Average</th><th>Highest</th></tr>" }
        $1 == "group" { printf "<tr><td>%s</td><td>%d</td><td>%.2f</td><td>%.2f</td><td>%.2f</td></tr>\n", $2, $3, $4, $5, $6 }
        END { print "</table></body></html>" }
    ' "$WORK/summary"
} > "$OUT/report.part"
mv "$OUT/report.part" "$OUT/report.html"

cat "$OUT/report.txt"
echo
echo "Written to $PWD/$OUT/report.html"
report '{"progress": 1, "message": "report.html is written"}'
