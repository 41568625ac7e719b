#!/usr/bin/env bash
# Every system of the tables, trained to its end; each experiment has its report. The LSTMs (single-task, aspmtl, aspmtl-noise) have the
# same search on each corpus (validation sets only), then all folds with five seeds. Nothing is searched for the others, which
# have the settings of their recipes: five seeds each, but one for aae and multilevel, and those of the recipes for noise and vggvox.
# Takes days on two cores; kill it whenever you like (it ends what it trains), the same command goes on.
#
#     benchmarks/all.sh DATA OUT [SYSTEM ..]      DATA/emodb, DATA/ravdess, DATA/ased/manifest.csv; all systems, or those that are named
#                                               (a variant, controls, paper, conv, others, noise, dnn, vggvox, aae, multilevel)
#                                               noise needs noise files in DATA/noisex92
#     benchmarks/all.sh DATA OUT --left           what is left, and how long it takes if those steps are like the ones done
#
# A step's output is in OUT/log/STEP.log; its time and the commits that it was made by are in OUT/log/STEP.done; OUT/log/STEP.spent has
# the seconds of attempts that were interrupted or failed. The exit code is 1 if a step failed, 75 if another process trains into OUT.
set -u
DATA=$(cd "${1:?DATA}" && pwd) && mkdir -p "${2:?OUT}/log" && OUT=$(cd "$2" && pwd) || exit 2
shift 2
cd "$(dirname "$0")/.." || exit 2
SYSTEMS=" single-task aspmtl aspmtl-noise controls paper cascade conv conv-single others noise dnn vggvox aae multilevel "
LEFT=0 ONLY=" "
for word; do
    case "$word" in
    --left) LEFT=1 ;;
    *)
        [[ "$SYSTEMS" == *" $word "* ]] || { echo "expected --left or a system:${SYSTEMS% }. Received: $word" >&2 && exit 2; }
        ONLY="$ONLY$word "
        ;;
    esac
done
JOBS=$(nproc)
TRIALS=12
ROOM="--space batch_size=16,32,64 --space optimizer.learning_rate=0.0005:0.005:log --space config.dropout=0.1:0.6"
LSTM="--space config.layers=1,2,3 --space config.units=32,64"
WEIGHTS="--space config.beta=0.05:2:log --space config.gamma=0.01:1:log --space config.mu=0.01:1:log"
todo=0 done=0 failed=0 spent=0 child=

# held by what it trains, too, so that no step is done while a process that outlived a killed script still trains its runs
[ $LEFT = 1 ] || { exec 9>"$OUT/log/lock" && flock -n 9; } || { echo "another all.sh, or what one has begun, trains into $OUT" >&2; exit 75; }
stop() { # CODE
    [ -z "$child" ] || kill -TERM -- "-$child" 2>/dev/null
    exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM HUP

add_time() { # NAME SECONDS: of an attempt that has ended
    echo $(($(cat "$OUT/log/$1.spent" 2>/dev/null || echo 0) + $2)) >"$OUT/log/$1.spent"
    rm -f "$OUT/log/$1.begun"
}

# a killed attempt lasted until it last wrote a file
for begun in "$OUT"/log/*.begun; do
    [ -f "$begun" ] && read -r start process <"$begun" && ! kill -0 "$process" 2>/dev/null || continue
    last=$(find "$OUT" -type f ! -name "*.begun" ! -path "$OUT/log/lock" -newer "$begun" -printf '%Ts\n' | sort -n | tail -1)
    name=$(basename "$begun" .begun)
    add_time "$name" $((${last:-$start} - start))
done

asked() { # SYSTEM
    [ "$ONLY" = " " ] || [[ "$ONLY" == *" $1 "* ]]
}

step() { # NAME COMMAND ..
    local name=$1 start code
    shift
    if [ -f "$OUT/log/$name.done" ]; then
        done=$((done + 1)) spent=$((spent + $(cut -d' ' -f1 "$OUT/log/$name.done")))
        return
    fi
    todo=$((todo + 1))
    if [ $LEFT = 1 ]; then
        local spent_on=
        [ -f "$OUT/log/$name.spent" ] && spent_on=" (begun, $(($(cat "$OUT/log/$name.spent") / 60)) min so far)"
        echo "left: $name$spent_on"
        return
    fi
    echo "$(date +%H:%M) $name"
    start=$(date +%s)
    echo "$start $$" >"$OUT/log/$name.begun"
    local commit=$(git rev-parse --short HEAD 2>/dev/null) # of the code that is about to run
    [ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || commit="$commit with changes"
    echo "$commit" >>"$OUT/log/$name.commits"
    set -m # in a process group of its own, which `stop` ends
    "$@" >>"$OUT/log/$name.log" 2>&1 </dev/null &
    child=$!
    set +m
    wait "$child"
    code=$?
    child=
    add_time "$name" $(($(date +%s) - start))
    [ $code -ge 128 ] && exit $code # interrupted
    if [ $code -ne 0 ]; then
        echo "failed: $name (exit code $code), see $OUT/log/$name.log"
        failed=$((failed + 1))
        return
    fi
    echo "$(cat "$OUT/log/$name.spent") s, commit $(awk '!seen[$0]++' "$OUT/log/$name.commits" | paste -sd+)" >"$OUT/log/$name.done"
    rm "$OUT/log/$name.spent" "$OUT/log/$name.commits"
}

system() { # CORPUS ROOT RECIPE VARIANT FOLDS SPACE ..
    local corpus=$1 root=$2 recipe=$3 variant=$4 folds=$5
    shift 5
    asked "$variant" || return
    step "$corpus-$variant-search" keras-ser tune "$recipe" --variant "$variant" --corpus-root "$root" --protocol disjoint \
        --folds "$folds" --epochs 60 --set patience=12 --trials $TRIALS --quiet --out "$OUT/$corpus" $ROOM "$@" ${MORE:-}
    step "$corpus-$variant" found "$corpus" "$variant" "$root"
}

controls() { # CORPUS ROOT: the best ASP-MTL with its losses at 0, with shuffled genders, and one encoder as large as its three
    asked controls || return
    local again="--corpus-root $2 --protocol disjoint --seed 0 --seeds 5 --jobs $JOBS --quiet"
    step "$1-zero-losses" best "$1" aspmtl $again --out "$OUT/$1/zero-losses" --set config.beta=0 --set config.gamma=0 --set config.mu=0
    step "$1-shuffled" best "$1" aspmtl $again --out "$OUT/$1/shuffled" --set 'shuffle=["gender"]'
    step "$1-wide" wide "$1" $again --out "$OUT/$1/wide"
}

best() { # CORPUS VARIANT OPTION ..: train the best of a search again, with other options
    local recipe
    [ -f "$OUT/log/$1-$2-search.done" ] || { echo "its search is not finished"; return 1; }
    recipe=$(ls -t "$OUT/$1"/*-"$2"-????????-search-*/recipe.json | head -1) || return 1
    keras-ser train "$recipe" "${@:3}"
}

wide() { # CORPUS OPTION ..: the best single task, with an encoder of as many layers and weights as the best ASP-MTL's three
    local size
    [ -f "$OUT/log/$1-aspmtl-search.done" ] || { echo "the search of ASP-MTL is not finished"; return 1; }
    size=$(PYTHONPATH=benchmarks python -c "import sys; from pathlib import Path; from accelerator import as_large_as_three, Recipe
from keras_ser.training.preflight import frontends, input_shapes
both = Recipe.from_json(Path(sys.argv[1]).read_text())
bins = sum(shape[-1] for shape in input_shapes(both, frontends(both)).values())
print(as_large_as_three(both, bins), both.config.layers)" \
        "$(ls -t "$OUT/$1"/*-aspmtl-????????-search-*/recipe.json | head -1)") || return 1
    best "$1" single-task "${@:2}" --set config.units="${size% *}" --set config.layers="${size#* }"
}

found() { # the best of a search, all folds, five seeds
    best "$1" "$2" --corpus-root "$3" --protocol disjoint --seed 0 --seeds 5 --jobs "$JOBS" --quiet --out "$OUT/$1/best"
}

ASED='--set tasks.emotion.labels=["anger","fear","happiness","neutral","sadness"]'
for corpus in emodb ravdess ased; do
    root=$DATA/$corpus recipe=recipes/aspmtl_$corpus.py MORE=
    [ $corpus = ased ] && root=$root/manifest.csv recipe=recipes/aspmtl_manifest.py MORE=$ASED
    folds=0,4,8
    [ $corpus = emodb ] || folds=0,2,4
    system $corpus "$root" $recipe single-task $folds $LSTM
    system $corpus "$root" $recipe aspmtl $folds $LSTM $WEIGHTS
    system $corpus "$root" $recipe aspmtl-noise $folds $LSTM $WEIGHTS
    controls $corpus "$root"
    # the paper's printed setting, trained until it has converged
    asked paper && step $corpus-paper python $recipe --variant paper-aspmtl \
        --corpus-root "$root" --protocol disjoint --seed 0 --seeds 5 --jobs "$JOBS" --quiet --out "$OUT/$corpus/paper" $MORE
    for variant in cascade conv conv-single; do
        asked $variant && step $corpus-$variant python $recipe --variant $variant --corpus-root "$root" --protocol disjoint --seed 0 --seeds 5 \
            --jobs "$JOBS" --quiet --out "$OUT/$corpus/conv" $MORE
    done
    # settings that nobody tuned for the corpus, beside openSMILE's eGeMAPS with a support vector machine
    asked others && case $corpus in
    ased) step ased-own python recipes/own.py --corpus-root "$root" --seed 0 --seeds 5 --jobs "$JOBS" --quiet --out "$OUT/ased/own" ;;
    *) step $corpus-others python $recipe --variant conv --corpus-root "$root" --protocol disjoint --seed 0 --seeds 5 --jobs "$JOBS" \
        --quiet --out "$OUT/$corpus/others" --set "frontend.endpoint=$([ $corpus = emodb ] && echo true || echo false)" ;;
    esac
    [ $corpus = ased ] && continue
    for table in noise ablation; do
        asked noise && step $corpus-$table python recipes/aspmtl_$table.py --variant $corpus --corpus-root "$root" \
            --noise-root "$DATA/noisex92" --jobs "$JOBS" --quiet --out "$OUT/$corpus/$table"
    done
    asked dnn && step $corpus-dnn python recipes/mt_a_dnn.py --variant $corpus --corpus-root "$root" --seed 0 --seeds 5 \
        --jobs "$JOBS" --quiet --out "$OUT/$corpus/dnn"
    [ $corpus = ravdess ] && asked vggvox && step ravdess-vggvox python recipes/vggvox_ravdess.py --corpus-root "$root" \
        --jobs "$JOBS" --quiet --out "$OUT/ravdess/vggvox"
    # the settings are the recipes' own; the learning rate falls to 0, and nothing is searched
    for paper in aae multilevel; do
        asked $paper && step $corpus-$paper python recipes/${paper}_$corpus.py \
            --corpus-root "$root" --protocol disjoint --seed 0 --jobs "$JOBS" --quiet --out "$OUT/$corpus/$paper"
    done
done
if [ $done -gt 0 ]; then
    echo "$done steps done in $((spent / 60)) min; $todo left, about $((todo * spent / done / 60)) min if they are like those"
elif [ $LEFT = 1 ]; then
    echo "$todo steps left; no step is done yet, so no estimate"
fi
[ $failed = 0 ]
