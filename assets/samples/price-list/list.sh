# Reads the shop's index and writes down which pages are to be fetched.
. ./lib.sh

echo "Reads pages/index.html for a $RUN_TYPE"
wait_for "$PACE"
case $RUN_TYPE in
    DELTA) wanted='class="changed"' ;;
    *) wanted='class=' ;;
esac
sed -n "/<li $wanted/s/.*href=\"\([^\"]*\)\".*/\1/p" pages/index.html > "$WORK/pages.part"
mv "$WORK/pages.part" "$WORK/pages"

n=$(wc -l < "$WORK/pages" | tr -d ' ')
echo "$n pages to fetch"
report "{\"output\": {\"pages_listed\": $n}, \"progress\": 1, \"message\": \"$n pages\"}"
