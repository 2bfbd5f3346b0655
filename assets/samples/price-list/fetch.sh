# Fetches the listed pages one by one, and leaves a checkpoint after each: {"page": N} means that the
# first N pages are there. Killed in the middle, it goes on with the page after the last checkpoint.
. ./lib.sh

n_pages=$(output_of pages_listed)
n_pages=${n_pages:-$(wc -l < "$WORK/pages" | tr -d ' ')}
done_pages=$(sed -n 's/.*"page"[[:space:]]*:[[:space:]]*\([0-9][0-9]*\).*/\1/p' "$LEVERFRAME_CHECKPOINT")
done_pages=${done_pages:-0}
mkdir -p "$WORK/fetched"

# A checkpoint is worth what lies on the disk: where pages are missing, it begins again.
there=$(ls "$WORK/fetched" | grep -c '\.html$' || true)
if [ "$there" -lt "$done_pages" ]; then
    echo "The checkpoint says page $done_pages, but only $there are there: begins again"
    done_pages=0
fi
if [ "$done_pages" -gt 0 ]; then
    echo "Goes on after page $done_pages of $n_pages"
fi

page=$done_pages
awk -v done="$done_pages" 'NR > done' "$WORK/pages" | while IFS= read -r name; do
    page=$((page + 1))
    echo "GET $name ($page of $n_pages)"
    progress "$((page * 2 - 1))" "$((n_pages * 2))" "page $page of $n_pages"
    wait_for "$PACE"
    cp "pages/$name" "$WORK/fetched/$name.part"
    mv "$WORK/fetched/$name.part" "$WORK/fetched/$name"
    bytes=$(wc -c < "$WORK/fetched/$name" | tr -d ' ')
    items=$(grep -c '<tr class="item">' "$WORK/fetched/$name" || true)
    report "{\"checkpoint\": {\"page\": $page}, \"metric\": {\"items_on_page\": $items, \"bytes_on_page\": $bytes}}"
    progress "$page" "$n_pages" "page $page of $n_pages"
done

fetched=$(ls "$WORK/fetched" | grep -c '\.html$' || true)
echo "$fetched pages fetched"
report "{\"output\": {\"pages_fetched\": $fetched}}"
