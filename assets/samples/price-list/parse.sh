# Makes one line of each item: article, name, price, currency, with tabs between them.
. ./lib.sh

n_pages=$(output_of pages_fetched)
page=0
rm -f "$WORK/items.part"
for file in "$WORK"/fetched/*.html; do
    page=$((page + 1))
    sed -n '/<tr class="item">/ {
        s/.*<td class="sku">\([^<]*\)<\/td><td class="name">\([^<]*\)<\/td><td class="price" data-currency="\([A-Z]*\)">\([^<]*\)<\/td>.*/\1	\2	\4	\3/p
    }' "$file" >> "$WORK/items.part"
    progress "$page" "${n_pages:-$page}" "page $page"
    # A second for each five pages: parsing costs time as well.
    [ $((page % 5)) -ne 0 ] || wait_for "$((PACE / 2))"
done
mv "$WORK/items.part" "$WORK/items"
n=$(wc -l < "$WORK/items" | tr -d ' ')
echo "$n items on $page pages"
report "{\"output\": {\"items\": $n}}"
