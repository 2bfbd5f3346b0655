# Removes what earlier runs left in the work folder. This run's and the two newest others stay, since a run
# that is resumed or retried needs what its finished steps have made.
. ./lib.sh

ls -1t work | awk -v own="$LEVERFRAME_RUN_ID" '$0 != own' | sed 1,2d | while IFS= read -r run; do
    echo "Removes work/$run"
    rm -rf "work/$run"
done
rm -f "$OUT"/*.part
report '{"progress": 1}'
