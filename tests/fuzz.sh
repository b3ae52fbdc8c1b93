#!/usr/bin/env bash
# Runs each fuzz target from its seeds: without an argument a fixed number of inputs, the same ones each time; with
# one for so many seconds, others each time. A find is printed and left in target/fuzz/finds.
set -euo pipefail
bounds=(-runs=50000 -seed=4475 -max_total_time=120)
[ $# -eq 0 ] || bounds=(-max_total_time="$1")
fuzz=$PWD/target/tools/bin/cargo-fuzz
export CARGO_TARGET_DIR=$PWD/target/fuzz
mkdir -p target/fuzz/finds
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
cd fuzz
# Without sanitizers the stable compiler does; what we look for are panics, and unsafe code is forbidden.
for target in message digest settings; do
    mkdir "$corpus/$target"
    "$fuzz" run --sanitizer none "$target" "$corpus/$target" "seeds/$target" -- \
        "${bounds[@]}" -rss_limit_mb=512 -timeout=5 -artifact_prefix="$CARGO_TARGET_DIR/finds/" 2>&1 |
        tail -n 40 >"$corpus/log" || { cat "$corpus/log"; exit 1; }
    tail -n 1 "$corpus/log" | sed "s/^/fuzz $target: /"
done
